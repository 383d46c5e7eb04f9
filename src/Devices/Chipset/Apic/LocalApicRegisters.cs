using Vmm.Platform.Bus;

namespace Vmm.Chipset;

/// <summary>Registers as the MMIO page and the MSRs share them (SDM 3A §11.4.1, §11.12.1).</summary>
public sealed partial class LocalApic
{
    const uint LvtMask = 1 << 16, LvtTrigger = 1 << 15, LvtRemoteIrr = 1 << 14;
    const uint LvtReadOnly = LvtRemoteIrr | 1 << 12;
    const uint IcrDeliveryStatus = 1 << 12;

    /// <summary>Bits that software writes in each LVT entry. Pin polarity (bit 13) is kept but has no effect: a line here carries assertion, not voltage.</summary>
    static readonly uint[] LvtWritable = [0x107FF, 0x700FF, 0x107FF, 0x107FF, 0x1A7FF, 0x1A7FF, 0x100FF];

    /// <summary>Version 0x14 (integrated), 7 LVT entries.</summary>
    uint VersionRegister => 0x0006_0014u | (options.CanSuppressEoiBroadcast ? 1u << 24 : 0);

    /// <summary>LDR in x2APIC mode: cluster in the upper half, one bit of sixteen in the lower (SDM 3A §11.12.10.2).</summary>
    uint X2ApicLogicalId => initialId >> 4 << 16 | 1u << (int)(initialId & 15);

    /// <inheritdoc/>
    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (Mode != ApicMode.XApic)
        {
            return IoResult.Unclaimed;
        }

        var register = (int)(offset >> 4 & 0xFF);
        if (!TryReadRegister(register, out var value))
        {
            Report(ApicErrors.IllegalRegister);
        }

        // Bytes 4 to 15 of a register's slot are reserved.
        var low = (int)(offset & 15) * 8;
        AccessBytes.Store(data, low < 32 ? value >> low : 0);
        return IoResult.Ok;
    }

    /// <inheritdoc/>
    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (Mode != ApicMode.XApic)
        {
            return IoResult.Unclaimed;
        }

        // Registers are written whole; anything else is undefined and dropped here.
        if ((offset & 15) == 0 && data.Length == 4)
        {
            WriteXApic((int)(offset >> 4 & 0xFF), (uint)AccessBytes.Load(data));
        }

        return IoResult.Ok;
    }

    void WriteXApic(int register, uint value)
    {
        switch (register)
        {
            case ApicRegister.ID:
                xapicId = (byte)(value >> 24);
                break;
            case ApicRegister.LDR:
                ldr = value & 0xFF00_0000;
                break;
            case ApicRegister.DFR:
                dfr = value | 0x0FFF_FFFF;
                break;
            case ApicRegister.ICR2:
                icr2 = value & 0xFF00_0000;
                break;
            case ApicRegister.ICR:
                icr = value & 0xCCFFF & ~IcrDeliveryStatus;
                bus.Send(this, icr, icr2 >> 24);
                break;
            case ApicRegister.Version or ApicRegister.APR or ApicRegister.PPR or ApicRegister.RRD or ApicRegister.TMCCT:
            case >= ApicRegister.ISR and < ApicRegister.ESR:
                break;
            case ApicRegister.SelfIpi:
                Report(ApicErrors.IllegalRegister);
                break;
            default:
                if (!TryWriteCommon(register, value))
                {
                    Report(ApicErrors.IllegalRegister);
                }

                break;
        }
    }

    /// <summary>Reads a register that exists in xAPIC mode; false for a reserved one.</summary>
    bool TryReadRegister(int register, out uint value)
    {
        uint? found = register switch
        {
            ApicRegister.ID => (uint)xapicId << 24,
            ApicRegister.Version => VersionRegister,
            ApicRegister.TPR => tpr,
            ApicRegister.APR => ArbitrationPriority,
            ApicRegister.PPR => ProcessorPriority,
            ApicRegister.EOI or ApicRegister.RRD => 0,
            ApicRegister.LDR => ldr,
            ApicRegister.DFR => dfr,
            ApicRegister.SVR => svr,
            >= ApicRegister.ISR and < ApicRegister.TMR => isr.Word(register & 7),
            >= ApicRegister.TMR and < ApicRegister.IRR => tmr.Word(register & 7),
            >= ApicRegister.IRR and < ApicRegister.ESR => irr.Word(register & 7),
            ApicRegister.ESR => (uint)errors,
            ApicRegister.LvtCmci => lvt[0],
            ApicRegister.ICR => icr,
            ApicRegister.ICR2 => icr2,
            >= ApicRegister.LvtTimer and <= ApicRegister.LvtError => lvt[register - ApicRegister.LvtTimer + 1],
            ApicRegister.TMICT => timer.InitialCount,
            ApicRegister.TMCCT => timer.CurrentCount,
            ApicRegister.DCR => timer.DivideConfiguration,
            _ => null,
        };
        value = found ?? 0;
        return found != null;
    }

    /// <summary>Writes a register that both modes write alike; false for a reserved one.</summary>
    bool TryWriteCommon(int register, uint value)
    {
        switch (register)
        {
            case ApicRegister.TPR:
                SetTpr((byte)value);
                break;
            case ApicRegister.EOI:
                EndOfInterrupt();
                break;
            case ApicRegister.SVR:
                WriteSvr(value);
                break;
            case ApicRegister.ESR:
                errors = errorLatch;
                errorLatch = ApicErrors.None;
                break;
            case ApicRegister.LvtCmci:
                WriteLvt(LocalInterrupt.Cmci, value);
                break;
            case >= ApicRegister.LvtTimer and <= ApicRegister.LvtError:
                WriteLvt((LocalInterrupt)(register - ApicRegister.LvtTimer + 1), value);
                break;
            case ApicRegister.TMICT:
                timer.SetInitialCount(value);
                break;
            case ApicRegister.DCR:
                timer.SetDivideConfiguration(value);
                break;
            default:
                return false;
        }

        return true;
    }

    void WriteSvr(uint value)
    {
        svr = value & (0x3FF | (options.CanSuppressEoiBroadcast ? SvrSuppressEoi : 0));
        if (!IsSoftwareEnabled)
        {
            for (var i = 0; i < lvt.Length; i++)
            {
                lvt[i] |= LvtMask;
            }
        }

        UpdateIntr();
    }

    void WriteLvt(LocalInterrupt source, uint value)
    {
        ref var entry = ref lvt[(int)source];
        entry = entry & LvtRemoteIrr | value & LvtWritable[(int)source];
        if (!IsSoftwareEnabled)
        {
            entry |= LvtMask;
        }

        switch (source)
        {
            case LocalInterrupt.Timer:
                timer.SetMode((ApicTimerMode)(value >> 17 & 3));
                break;
            case LocalInterrupt.Lint0:
                WroteLint0(ref entry);
                break;
            default:
                break;
        }
    }

    void WroteLint0(ref uint entry)
    {
        if ((entry & LvtTrigger) == 0 || ModeOf(entry) != DeliveryMode.Fixed)
        {
            entry &= ~LvtRemoteIrr;
        }

        ResampleLint0();
        UpdateIntr();
    }
}
