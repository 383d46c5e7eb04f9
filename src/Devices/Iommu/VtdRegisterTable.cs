using Vmm.Platform.Registers;
using Vmm.Specs;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>Masks and reset values of the registers (VT-d §11.4), narrowed to what the unit advertises.</summary>
static class VtdRegisterTable
{
    /// <summary>Bytes of the register page.</summary>
    public const int Length = 4096;

    const uint ResetMasked = 1u << 31;

    /// <summary>Protected regions start and end on multiples of 2 MiB.</summary>
    const uint ProtectedLow = 0xFFE0_0000;

    public static RegisterDefinition[] Build(VtdCapabilities unit)
    {
        var table = new List<RegisterDefinition>
        {
            new("VER_REG", VtdRegister.VER, 4, Reset: unit.Version),
            new("CAP_REG", VtdRegister.CAP, 8, Reset: unit.Cap.Raw),
            new("ECAP_REG", VtdRegister.ECAP, 8, Reset: unit.Ecap.Raw),
            new("GCMD_REG", VtdRegister.GCMD, 4, Write: 0xFF80_0000, WriteOnly: 0xFFFF_FFFF),
            new("GSTS_REG", VtdRegister.GSTS, 4),
            new("RTADDR_REG", VtdRegister.RTADDR, 8, Write: 0xFFFF_FFFF_FFFF_FC00),
            new("CCMD_REG", VtdRegister.CCMD, 8, Write: 0xE000_0003_FFFF_FFFF),
            new("FSTS_REG", VtdRegister.FSTS, 4, ClearOnOne: Fsts.ClearOnOne),
            new("AFLOG_REG", VtdRegister.AFLOG, 8),
        };
        AddEvent(table, unit, "FE", VtdRegister.FECTL, true);
        AddProtectedMemory(table, unit);
        AddInvalidation(table, unit);
        AddPageRequest(table, unit);
        table.Add(new("IVA_REG", VtdRegister.IVA, 8, Write: 0xFFFF_FFFF_FFFF_F07F, WriteOnly: ulong.MaxValue));
        table.Add(new("IOTLB_REG", VtdRegister.IOTLB, 8, Write: 0xB003_FFFF_0000_0000));
        for (var i = 0; i <= unit.Cap.NFR; i++)
        {
            table.Add(new($"FRCD_REG{i}", VtdRegister.FRCD + 16 * i, 16, ClearOnOne: UInt128.One << 127));
        }

        return [.. table];
    }

    static void AddEvent(List<RegisterDefinition> table, VtdCapabilities unit, string prefix, int offset, bool present)
    {
        table.Add(new(prefix + "CTL_REG", offset, 4, Write: present ? ResetMasked : 0, Reset: present ? ResetMasked : 0));
        table.Add(new(prefix + "DATA_REG", offset + 4, 4, Write: present ? 0xFFFFu : 0));
        table.Add(new(prefix + "ADDR_REG", offset + 8, 4, Write: present ? 0xFFFF_FFFCu : 0));
        table.Add(new(prefix + "UADDR_REG", offset + 12, 4, Write: present && unit.Ecap.EIM ? 0xFFFF_FFFFu : 0));
    }

    static void AddProtectedMemory(List<RegisterDefinition> table, VtdCapabilities unit)
    {
        var low = unit.Cap.PLMR;
        var high = unit.Cap.PHMR;
        UInt128 highMask = high ? Bits.Mask(unit.HostAddressWidth) & ~0x1F_FFFFul : 0;
        table.Add(new("PMEN_REG", VtdRegister.PMEN, 4, Write: low || high ? ResetMasked : 0));
        table.Add(new("PLMBASE_REG", VtdRegister.PLMBASE, 4, Write: low ? ProtectedLow : 0));
        table.Add(new("PLMLIMIT_REG", VtdRegister.PLMLIMIT, 4, Write: low ? ProtectedLow : 0));
        table.Add(new("PHMBASE_REG", VtdRegister.PHMBASE, 8, Write: highMask));
        table.Add(new("PHMLIMIT_REG", VtdRegister.PHMLIMIT, 8, Write: highMask));
    }

    static void AddInvalidation(List<RegisterDefinition> table, VtdCapabilities unit)
    {
        var wide = unit.Ecap.SMTS ? 0x800u : 0;
        table.Add(new("IQH_REG", VtdRegister.IQH, 8));
        table.Add(new("IQT_REG", VtdRegister.IQT, 8, Write: 0x7_FFF0));
        table.Add(new("IQA_REG", VtdRegister.IQA, 8, Write: 0xFFFF_FFFF_FFFF_F007 | wide));
        table.Add(new("ICS_REG", VtdRegister.ICS, 4, ClearOnOne: 1));
        AddEvent(table, unit, "IE", VtdRegister.IECTL, true);
        table.Add(new("IQERCD_REG", VtdRegister.IQERCD, 8));
        UInt128 irta = unit.Ecap.IR ? 0xFFFF_FFFF_FFFF_F00F | (unit.Ecap.EIM ? 0x800ul : 0) : 0;
        table.Add(new("IRTA_REG", VtdRegister.IRTA, 8, Write: irta));
    }

    static void AddPageRequest(List<RegisterDefinition> table, VtdCapabilities unit)
    {
        var present = unit.Ecap.PRS;
        table.Add(new("PQH_REG", VtdRegister.PQH, 8, Write: present ? 0x7_FFE0u : 0));
        table.Add(new("PQT_REG", VtdRegister.PQT, 8, Write: present ? 0x7_FFE0u : 0));
        table.Add(new("PQA_REG", VtdRegister.PQA, 8, Write: present ? 0xFFFF_FFFF_FFFF_F007 : 0));
        table.Add(new("PRS_REG", VtdRegister.PRS, 4, ClearOnOne: present ? 3u : 0));
        AddEvent(table, unit, "PE", VtdRegister.PECTL, present);
    }
}
