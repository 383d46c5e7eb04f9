using Vmm.Chipset;
using Vmm.Platform.Bus;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Time;
using Xunit;

namespace Vmm.Unit.Chipset;

/// <summary>A wire that remembers its level and counts its rising edges.</summary>
sealed class TestLine : IInterruptLine
{
    public bool Level { get; private set; }

    public int Rises { get; private set; }

    public void Set(bool asserted)
    {
        Rises += asserted && !Level ? 1 : 0;
        Level = asserted;
    }
}

/// <summary>A core that writes down what its local APIC does to it.</summary>
sealed class TestCore : IVcpuWires
{
    public bool Intr { get; private set; }

    public List<string> Events { get; } = [];

    public void SetIntr(bool asserted) => Intr = asserted;

    public void Nmi() => Events.Add("nmi");

    public void Init() => Events.Add("init");

    public void StartUp(byte vector) => Events.Add($"sipi {vector:x2}");
}

sealed class TestSink : IInterruptSink
{
    public List<MsiMessage> Messages { get; } = [];

    public void Deliver(MsiMessage message) => Messages.Add(message);
}

sealed class TestExtInt : IExtIntSource
{
    public byte Vector { get; set; } = 0x20;

    public byte Acknowledge() => Vector;
}

sealed class TestPower : IPowerControl
{
    public List<string> Events { get; } = [];

    public void PowerOff() => Events.Add("off");

    public void Reset(ResetKind kind) => Events.Add($"reset {kind}");

    public void DebugExit(uint value) => Events.Add($"exit {value:x}");
}

sealed class TestConsole : IConsoleOutput
{
    public List<byte> Bytes { get; } = [];

    public string Text => System.Text.Encoding.Latin1.GetString([.. Bytes]);

    public void Write(ReadOnlySpan<byte> data) => Bytes.AddRange(data.ToArray());
}

static class TestAccess
{
    public static uint Read32(this IBusTarget target, ulong offset)
    {
        Span<byte> data = stackalloc byte[4];
        Assert.Equal(IoResult.Ok, target.Read(offset, data));
        return BitConverter.ToUInt32(data);
    }

    public static ushort Read16(this IBusTarget target, ulong offset)
    {
        Span<byte> data = stackalloc byte[2];
        Assert.Equal(IoResult.Ok, target.Read(offset, data));
        return BitConverter.ToUInt16(data);
    }

    public static byte Read8(this IBusTarget target, ulong offset)
    {
        Span<byte> data = stackalloc byte[1];
        Assert.Equal(IoResult.Ok, target.Read(offset, data));
        return data[0];
    }

    public static void Write32(this IBusTarget target, ulong offset, uint value) => target.Write(offset, BitConverter.GetBytes(value));

    public static void Write16(this IBusTarget target, ulong offset, ushort value) => target.Write(offset, BitConverter.GetBytes(value));

    public static void Write8(this IBusTarget target, ulong offset, byte value) => target.Write(offset, [value]);

    /// <summary>Moves the clock on, event by event, as the machine loop does.</summary>
    public static void Pass(this VirtualClock clock, ulong cycles)
    {
        var end = clock.Now + cycles;
        while (clock.NextDue <= end)
        {
            clock.SwitchTo(Math.Max(clock.Now, clock.NextDue));
            clock.RunDue();
        }

        clock.SwitchTo(end);
    }
}
