using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>
/// Protected memory regions (VT-d §11.4.8): while enabled, DMA that is not remapped cannot reach them. Regions start and
/// end on multiples of 2 MiB; a limit below its base makes an empty region.
/// </summary>
static class ProtectedMemory
{
    const ulong Granule = 0x1F_FFFF;

    public static bool IsEnabled(VtdCore core) => new Pmen(core.Registers.Get32(VtdRegister.PMEN)).EPM;

    public static bool Covers(VtdCore core, ulong address)
    {
        var registers = core.Registers;
        return core.Capabilities.Cap.PLMR && IsWithin(address, registers.Get32(VtdRegister.PLMBASE), registers.Get32(VtdRegister.PLMLIMIT)) ||
            core.Capabilities.Cap.PHMR && IsWithin(address, registers.Get64(VtdRegister.PHMBASE), registers.Get64(VtdRegister.PHMLIMIT));
    }

    static bool IsWithin(ulong address, ulong start, ulong limit) => address >= start && address <= (limit | Granule);
}
