namespace Vmm.Chipset;

/// <summary>MSR interface: IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC registers (SDM 3A §11.12.1.2).</summary>
public sealed partial class LocalApic
{
    const uint MsrApicBase = 0x1B, MsrTscDeadline = 0x6E0, MsrX2ApicFirst = 0x800, MsrX2ApicLast = 0x8FF;

    /// <summary>ICR: reserved bits in x2APIC mode. Bit 12 is the delivery status that is gone there; processors ignore it.</summary>
    const uint X2ApicIcrReserved = 0xFFF3_2000;

    /// <inheritdoc/>
    public bool TryReadMsr(uint msr, out ulong value)
    {
        switch (msr)
        {
            case MsrApicBase:
                value = apicBase;
                return true;
            case MsrTscDeadline:
                value = timer.Deadline;
                return true;
            case >= MsrX2ApicFirst and <= MsrX2ApicLast when Mode == ApicMode.X2Apic:
                return TryReadX2Apic((int)(msr - MsrX2ApicFirst), out value);
            default:
                value = 0;
                return false;
        }
    }

    /// <inheritdoc/>
    public bool TryWriteMsr(uint msr, ulong value)
    {
        switch (msr)
        {
            case MsrApicBase:
                return TrySetBase(value);
            case MsrTscDeadline:
                if (timer.SetDeadline(value))
                {
                    RaiseLocal(LocalInterrupt.Timer);
                }

                return true;
            case >= MsrX2ApicFirst and <= MsrX2ApicLast when Mode == ApicMode.X2Apic:
                return TryWriteX2Apic((int)(msr - MsrX2ApicFirst), value);
            default:
                return false;
        }
    }

    bool TryReadX2Apic(int register, out ulong value)
    {
        switch (register)
        {
            case ApicRegister.ID:
                value = initialId;
                return true;
            case ApicRegister.LDR:
                value = X2ApicLogicalId;
                return true;
            case ApicRegister.ICR:
                value = (ulong)icr2 << 32 | icr;
                return true;
            case ApicRegister.APR or ApicRegister.EOI or ApicRegister.RRD or ApicRegister.DFR or ApicRegister.ICR2:
                value = 0;
                return false;
            default:
                var exists = TryReadRegister(register, out var word);
                value = word;
                return exists;
        }
    }

    bool TryWriteX2Apic(int register, ulong value)
    {
        if (register == ApicRegister.ICR)
        {
            return TryWriteX2ApicIcr(value);
        }

        var word = (uint)value;
        if (value != word || (word & X2ApicReserved(register)) != 0)
        {
            return false;
        }

        if (register == ApicRegister.SelfIpi)
        {
            SelfIpi((byte)word);
            return true;
        }

        return TryWriteCommon(register, word);
    }

    bool TryWriteX2ApicIcr(ulong value)
    {
        if (((uint)value & X2ApicIcrReserved) != 0)
        {
            return false;
        }

        icr = (uint)value & ~IcrDeliveryStatus;
        icr2 = (uint)(value >> 32);
        bus.Send(this, icr, icr2);
        return true;
    }

    void SelfIpi(byte vector)
    {
        if (vector < 16)
        {
            Report(ApicErrors.SendIllegalVector);
            return;
        }

        AcceptFixed(vector, level: false);
    }

    /// <summary>Reserved bits of a writable register. Read-only fields are not reserved: writes of them are dropped.</summary>
    uint X2ApicReserved(int register) => register switch
    {
        ApicRegister.TPR or ApicRegister.SelfIpi => ~0xFFu,
        ApicRegister.EOI or ApicRegister.ESR => ~0u,
        ApicRegister.SVR => ~(0x3FFu | (options.CanSuppressEoiBroadcast ? SvrSuppressEoi : 0)),
        ApicRegister.LvtCmci => ~(LvtWritable[0] | LvtReadOnly & ~LvtRemoteIrr),
        >= ApicRegister.LvtTimer and <= ApicRegister.LvtError => X2ApicLvtReserved(register - ApicRegister.LvtTimer + 1),
        ApicRegister.DCR => ~0xBu,
        _ => 0,
    };

    static uint X2ApicLvtReserved(int entry)
    {
        var readOnly = (LocalInterrupt)entry is LocalInterrupt.Lint0 or LocalInterrupt.Lint1 ? LvtReadOnly : LvtReadOnly & ~LvtRemoteIrr;
        return ~(LvtWritable[entry] | readOnly);
    }
}
