using Vmm.Chipset;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Time;

namespace Vmm.Unit.Chipset;

/// <summary>Some processors on one interconnect.</summary>
sealed class ApicBench
{
    public const ulong Hertz = 2_400_000_000;
    public const ulong TickCycles = 100;

    public ApicBench(int processors = 1, LocalApicOptions? options = null)
    {
        Cores = new TestCore[processors];
        Apics = new LocalApic[processors];
        for (var i = 0; i < processors; i++)
        {
            Cores[i] = new();
            Apics[i] = new((uint)i, i == 0, Clock, Bus, Cores[i], ExtInt, options ?? new());
        }
    }

    public VirtualClock Clock { get; } = new(Hertz);

    public ApicBus Bus { get; } = new();

    public TestExtInt ExtInt { get; } = new();

    public TestCore[] Cores { get; }

    public LocalApic[] Apics { get; }

    public LocalApic Apic => Apics[0];

    public TestCore Core => Cores[0];

    /// <summary>SVR bit 8 on every processor, spurious vector 0xFF.</summary>
    public ApicBench Enabled()
    {
        foreach (var apic in Apics)
        {
            apic.Write32(0xF0, 0x1FF);
        }

        return this;
    }

    public ApicBench InX2Apic()
    {
        foreach (var apic in Apics)
        {
            Xunit.Assert.True(apic.TryReadMsr(0x1B, out var value));
            Xunit.Assert.True(apic.TryWriteMsr(0x1B, value | 0x400));
        }

        return this;
    }

    public void Msi(byte vector, byte destination = 0, uint data = 0, ulong address = 0) =>
        Bus.Deliver(new(0xFEE0_0000 | (ulong)destination << 12 | address, data | vector));

    public ulong Msr(uint msr)
    {
        Xunit.Assert.True(Apic.TryReadMsr(msr, out var value));
        return value;
    }
}
