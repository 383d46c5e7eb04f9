using Vmm.Platform.Snapshots;
using Vmm.Specs.X86;

namespace Vmm.Cpu.MachineCheck;

/// <content>The registers as RDMSR and WRMSR see them, and the snapshot.</content>
public sealed partial class MachineCheckState
{
    /// <summary>RDMSR of a register that <see cref="MachineCheckMsr.Contains"/>. False: #GP(0).</summary>
    public bool TryRead(uint msr, out ulong value)
    {
        var found = msr switch
        {
            MachineCheckMsr.MCG_CAP => Options.Capabilities,
            MachineCheckMsr.MCG_STATUS => status,
            MachineCheckMsr.MCG_CTL => control,
            MachineCheckMsr.MCG_EXT_CTL => Options.Local ? extendedControl : null,
            < MachineCheckMsr.MC0_CTL => Options.Cmci && msr - MachineCheckMsr.MC0_CTL2 < banks.Length ? banks[msr - MachineCheckMsr.MC0_CTL2].Ctl2 : null,
            _ => ReadBank(msr - MachineCheckMsr.MC0_CTL),
        };
        value = found ?? 0;
        return found != null;
    }

    ulong? ReadBank(uint register)
    {
        if (register / 4 >= banks.Length)
        {
            return null;
        }

        ref var bank = ref banks[register / 4];
        return (register & 3) switch { 0 => bank.Ctl, 1 => bank.Status, 2 => bank.Addr, _ => bank.Misc };
    }

    /// <summary>
    /// WRMSR of a register that <see cref="MachineCheckMsr.Contains"/>. False: #GP(0). <paramref name="featureControl"/> is
    /// IA32_FEATURE_CONTROL, which must be locked with LMCE_ON before LMCE_EN can be set.
    /// </summary>
    public bool TryWrite(uint msr, ulong value, ulong featureControl)
    {
        switch (msr)
        {
            case MachineCheckMsr.MCG_CAP:
                return false;
            case MachineCheckMsr.MCG_STATUS:
                return Set(ref status, value, McgStatus.RIPV | McgStatus.EIPV | McgStatus.MCIP | McgStatus.LMCE_S);
            case MachineCheckMsr.MCG_CTL:
                control = value;
                return true;
            case MachineCheckMsr.MCG_EXT_CTL:
                const ulong Needed = FeatureControl.Lock | FeatureControl.LMCE_ON;
                return Options.Local && (featureControl & Needed) == Needed && Set(ref extendedControl, value, 1);
            case < MachineCheckMsr.MC0_CTL:
                var index = msr - MachineCheckMsr.MC0_CTL2;
                return Options.Cmci && index < banks.Length && Set(ref banks[index].Ctl2, value, MciCtl2.CMCI_EN | MciCtl2.Threshold);
            default:
                return TryWriteBank(msr - MachineCheckMsr.MC0_CTL, value);
        }
    }

    bool TryWriteBank(uint register, ulong value)
    {
        if (register / 4 >= banks.Length)
        {
            return false;
        }

        ref var bank = ref banks[register / 4];
        switch (register & 3)
        {
            case 0:
                bank.Ctl = value;
                return true;
            case 1:
                return Set(ref bank.Status, value, 0);
            case 2:
                return Set(ref bank.Addr, value, 0);
            default:
                return Set(ref bank.Misc, value, 0);
        }
    }

    static bool Set(ref ulong register, ulong value, ulong writable)
    {
        if ((value & ~writable) != 0)
        {
            return false;
        }

        register = value;
        return true;
    }

    /// <summary>Writes everything.</summary>
    public void Save(SnapshotWriter writer)
    {
        writer.U8((byte)banks.Length);
        foreach (var bank in banks)
        {
            writer.U64(bank.Ctl);
            writer.U64(bank.Status);
            writer.U64(bank.Addr);
            writer.U64(bank.Misc);
            writer.U64(bank.Ctl2);
        }

        writer.U64(status);
        writer.U64(control);
        writer.U64(extendedControl);
        writer.U64(waiting);
        writer.Flag(IsWaiting);
        writer.U64(Delivered);
        writer.U64(Interrupts);
    }

    /// <summary>Reads back what <see cref="Save"/> wrote.</summary>
    /// <exception cref="SnapshotException">The snapshot has another number of banks.</exception>
    public void Load(SnapshotReader reader)
    {
        var count = reader.U8();
        if (count != banks.Length)
        {
            throw reader.Bad($"{count} machine-check banks in the snapshot, {banks.Length} in the machine");
        }

        for (var i = 0; i < banks.Length; i++)
        {
            banks[i] = new() { Ctl = reader.U64(), Status = reader.U64(), Addr = reader.U64(), Misc = reader.U64(), Ctl2 = reader.U64() & (MciCtl2.CMCI_EN | MciCtl2.Threshold) };
        }

        status = reader.U64() & 0xF;
        control = reader.U64();
        extendedControl = reader.U64() & 1;
        waiting = reader.U64() & 0xF;
        IsWaiting = reader.Flag();
        Delivered = reader.U64();
        Interrupts = reader.U64();
    }
}
