using Vmm.Specs.X86;

namespace Vmm.Cpu.MachineCheck;

/// <summary>One error as a bank records it.</summary>
/// <param name="Bank">Number of the bank.</param>
/// <param name="Status">IA32_MCi_STATUS, VAL set.</param>
/// <param name="Addr">IA32_MCi_ADDR; counts with ADDRV.</param>
/// <param name="Misc">IA32_MCi_MISC; counts with MISCV.</param>
public readonly record struct MachineCheckRecord(int Bank, ulong Status, ulong Addr, ulong Misc);

/// <summary>What became of an error in its bank.</summary>
public enum LogOutcome
{
    /// <summary>The bank was empty.</summary>
    Logged,

    /// <summary>The bank held an error that this one replaced; OVER is set.</summary>
    Overwrote,

    /// <summary>The bank holds an earlier error that stays; OVER is set and only that tells of this one.</summary>
    Lost,
}

/// <summary>One reporting bank (SDM 3B §16.3.2).</summary>
internal struct MachineCheckBank
{
    public ulong Ctl, Status, Addr, Misc, Ctl2;

    /// <summary>
    /// Records an error by the overwrite rules: enabled over disabled, uncorrected over corrected, unrecoverable over
    /// recoverable, otherwise the first uncorrected and the latest corrected one stay; S and AR are sticky
    /// (SDM 3B §16.3.2.2.1, table 16-7).
    /// </summary>
    public LogOutcome Log(MciStatus status, ulong addr, ulong misc, bool recovery)
    {
        var old = new MciStatus(Status);
        if (!old.Has(MciStatus.VAL))
        {
            Set(status, addr, misc);
            return LogOutcome.Logged;
        }

        var count = Corrected(old, recovery) + Corrected(status, recovery);
        var sticky = (old.Value | status.Value) & (MciStatus.S | MciStatus.AR);
        var merge = old.Class(recovery) is var first and not MachineCheckClass.Fatal
            && status.Class(recovery) is var second and not MachineCheckClass.Fatal
            && (first != MachineCheckClass.Corrected || second != MachineCheckClass.Corrected)
            ? sticky : 0;
        var replaces = Replaces(old, status, recovery);
        if (replaces)
        {
            Set(status, addr, misc);
        }

        Status |= MciStatus.OVER | merge;
        Status = count == 0 ? Status : new MciStatus(Status).WithCount(count).Value;
        return replaces ? LogOutcome.Overwrote : LogOutcome.Lost;
    }

    static int Corrected(MciStatus status, bool recovery) => status.Class(recovery) == MachineCheckClass.Corrected ? status.CorrectedCount : 0;

    static bool Replaces(MciStatus old, MciStatus status, bool recovery)
    {
        if (old.Has(MciStatus.EN) != status.Has(MciStatus.EN))
        {
            return status.Has(MciStatus.EN);
        }

        return (old.Class(recovery), status.Class(recovery)) switch
        {
            (MachineCheckClass.Corrected, _) => true,
            (MachineCheckClass.Fatal, _) => false,
            (_, MachineCheckClass.Fatal) => true,
            _ => false,
        };
    }

    void Set(MciStatus status, ulong addr, ulong misc)
    {
        Status = status.Value;
        Addr = status.Has(MciStatus.ADDRV) ? addr : 0;
        Misc = status.Has(MciStatus.MISCV) ? misc : 0;
    }
}
