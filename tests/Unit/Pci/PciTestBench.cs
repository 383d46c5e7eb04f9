using System.Buffers.Binary;
using Vmm.Chipset;
using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Platform.Pci;
using Vmm.Unit.Dma;

namespace Vmm.Unit.Pci;

sealed class Line : IInterruptLine
{
    public bool Level { get; private set; }

    public void Set(bool asserted) => Level = asserted;
}

/// <summary>A device that echoes its BAR offset and keeps writes.</summary>
sealed class EchoDevice : IPciDevice
{
    public List<(int Bar, ulong Offset, byte[] Data)> Writes { get; } = [];

    public List<int> ConfigWrites { get; } = [];

    public int Resets { get; private set; }

    public IoResult ReadBar(int bar, ulong offset, Span<byte> data)
    {
        data.Fill((byte)offset);
        return IoResult.Ok;
    }

    public IoResult WriteBar(int bar, ulong offset, ReadOnlySpan<byte> data)
    {
        Writes.Add((bar, offset, data.ToArray()));
        return IoResult.Ok;
    }

    public void FunctionReset() => Resets++;

    public void ConfigWritten(int register) => ConfigWrites.Add(register);
}

sealed class PciTestBench : IDisposable
{
    public PciTestBench()
    {
        Fabric = new(Memory, Bus.Mmio, Sink);
        Host = new(Bus, Fabric);
    }

    public GuestMemory Memory { get; } = new(1 << 20);

    public SystemBus Bus { get; } = new();

    public RecordingSink Sink { get; } = new();

    public DmaFabric Fabric { get; }

    public PciHost Host { get; }

    public EchoDevice Device { get; } = new();

    /// <summary>A function with everything: 16 KiB 64-bit BAR 0 with MSI-X, 4 KiB 32-bit BAR 2, I/O BAR 4, MSI, PM, PCIe, INTA#.</summary>
    public PciFunction Plug(int slot = 4, string name = "echo", int vectors = 3)
    {
        var function = Bare(slot, name);
        function.AddMemoryBar(0, 0x4000);
        function.AddMemoryBar(2, 0x1000, is64: false);
        function.AddIoBar(4, 0x20);
        function.AddPowerManagement();
        function.AddMsi(4, maskable: true);
        function.AddMsix(vectors, 0, 0x2000, 0x3000);
        function.AddExpress();
        function.SetInterruptPin(1);
        Host.Add(function);
        return function;
    }

    public PciFunction Bare(int slot, string name) => new(new(name, 0x1AF4, 0x1234, 0x01_08_02), new(0, slot, 0), Fabric, Device);

    public ulong In(ulong port, int width)
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        Bus.Pio.Read(port, bytes[..width]);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    public void Out(ulong port, ulong value, int width) => Write(Bus.Pio, port, value, width);

    public ulong Load(ulong address, int width)
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        Bus.Mmio.Read(address, bytes[..width]);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    public void Store(ulong address, ulong value, int width) => Write(Bus.Mmio, address, value, width);

    public static ulong Ecam(PciFunction function, int register) => PciHost.EcamBase + ((ulong)function.Address.Value << 12) + (ulong)register;

    public ulong Get(PciFunction function, int register, int width) => Load(Ecam(function, register), width);

    public void Set(PciFunction function, int register, ulong value, int width) => Store(Ecam(function, register), value, width);

    static void Write(AddressSpace space, ulong address, ulong value, int width)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        space.Write(address, bytes[..width]);
    }

    public int Capability(PciFunction function, byte id)
    {
        var at = (int)Get(function, 0x34, 1);
        for (var i = 0; i < 48 && at != 0; i++)
        {
            if (Get(function, at, 1) == id)
            {
                return at;
            }

            at = (int)Get(function, at + 1, 1);
        }

        return 0;
    }

    public void Dispose() => Memory.Dispose();
}
