using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>VT-d is switched off again: devices then reach memory and processors as before.</summary>
internal static class RemappingEnd
{
    const byte Vector = 0x79;
    const uint Target = Layout.Arena + 0x2000;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g) => g.Checks.Test("vt-d off", $"translation and remapping are off again, devices reach physical addresses", () =>
    {
        RemappingTests.NeedUnit(g);
        g.A.cmp(g.Iommu.InterruptsOn, 0);
        g.If(When.NotEqual, () =>
        {
            g.Call(g.Iommu.Clear, RemappingUnit.InterruptEnable);
            g.Checks.Equal(rax, 1, "interrupt remapping is disabled");
        });
        g.Call(g.Iommu.Clear, RemappingUnit.TranslationEnable);
        g.Checks.Equal(rax, 1, "translation is disabled");
        g.A.mov(g.Nvme.BusOffset, 0);
        g.A.cmp(g.Edu.Base, 0);
        g.If(When.NotEqual, () =>
        {
            EduTests.Prepare(g, 77);
            g.Call(g.Edu.Transfer, Layout.Arena + 0x1000, 256, 0);
            g.Call(g.Edu.Transfer, Target, 256, Edu.FromDevice);
            EduTests.CheckArrived(g, "DMA to physical addresses");
            g.Call(g.Messages.OwnAddress);
            g.Call(g.Messages.SetMsi, g.Edu.Function, rax, Vector);
            g.Edu.Store(Edu.Raise, 1);
            g.Apic.Within(100_000, Vector, 1, "MSI that is not remapped");
            g.Edu.Store(Edu.Acknowledge, 1);
        });
    });
}
