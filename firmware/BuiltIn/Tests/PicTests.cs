using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>The 8259 pair: masked it is silent, unmasked it delivers the interval timer through LINT0.</summary>
internal static class PicTests
{
    const int TicksPerPeriod = Clock.PitHertz / 2000;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g) => g.Checks.Test("8259", $"masked: silent; IRQ 0 through LINT0 as ExtINT", () =>
    {
        var a = g.A;
        Masks(g);
        StartTimer(g);
        g.Call(g.Apic.Write, Apic.LvtLint0, Apic.ExtInt);
        g.Apic.Listen(2_000);
        g.Checks.Equal(g.Faults.Counts[Apic.PicVector], 0, "interrupts while masked");
        g.Out8(Apic.Pic1 + 1, 0xFE);
        g.Apic.Within(100_000, Apic.PicVector, 3, "interrupts while IRQ 0 is unmasked");
        g.Out8(Apic.Pic1 + 1, 0xFF);
        g.Apic.Listen(100);
        a.mov(ebx, g.Faults.Counts[Apic.PicVector]);
        g.Apic.Listen(2_000);
        g.Checks.Equal(g.Faults.Counts[Apic.PicVector], rbx, "interrupts after masking again");
        g.Call(g.Apic.Write, Apic.LvtLint0, Apic.Masked);
        StopTimer(g);
    });

    /// <summary>Emits code that lets channel 0 of the interval timer tick 2000 times a second.</summary>
    public static void StartTimer(Guest g)
    {
        g.Out8(Clock.PitCommand, 0x34);
        g.Out8(Clock.PitChannel0, TicksPerPeriod & 0xFF);
        g.Out8(Clock.PitChannel0, TicksPerPeriod >> 8);
    }

    /// <summary>Emits code that stops it: one-shot mode without a count.</summary>
    public static void StopTimer(Guest g) => g.Out8(Clock.PitCommand, 0x30);

    static void Masks(Guest g)
    {
        foreach (var value in new byte[] { 0x55, 0xFF })
        {
            foreach (var port in new[] { Apic.Pic1, Apic.Pic2 })
            {
                g.Out8((ushort)(port + 1), value);
                g.In8((ushort)(port + 1));
                g.A.movzx(eax, al);
                g.Checks.Equal(rax, value, "mask register reads back");
            }
        }
    }
}
