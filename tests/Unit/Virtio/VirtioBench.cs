using System.Buffers.Binary;
using Vmm.Chipset;
using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;
using Vmm.Specs.Virtio;
using Vmm.Unit.Dma;
using Vmm.Virtio;
using Xunit;

namespace Vmm.Unit.Virtio;

/// <summary>A machine with one virtio device and a driver that keeps its rings in RAM.</summary>
sealed class VirtioBench : IDisposable
{
    public const ulong Buffers = 0x10_0000;
    public const ulong Isr = 0x1000, DeviceConfig = 0x2000, NotifyBase = 0x3000, MsixTable = 0x4000;

    public VirtioBench(Func<DmaFabric, VirtualClock, VirtioPci> build)
    {
        Fabric = new(Memory, Bus.Mmio, Sink);
        Host = new(Bus, Fabric);
        Device = build(Fabric, Clock);
        Host.Add(Device.Function);
        Host.AssignResources(PciWindows.Default);
        SetCommand(6);
    }

    public GuestMemory Memory { get; } = new(16 << 20);

    public SystemBus Bus { get; } = new();

    public RecordingSink Sink { get; } = new();

    public VirtualClock Clock { get; } = new();

    public DmaFabric Fabric { get; }

    public PciHost Host { get; }

    public VirtioPci Device { get; }

    public ulong Bar => Device.Function.Bars[0].Address;

    public VirtioStatus Status => (VirtioStatus)Load(VirtioCommon.DeviceStatus, 1);

    public ulong Offered => Features(VirtioCommon.DeviceFeatureSelect, VirtioCommon.DeviceFeature);

    public ulong Accepted => Features(VirtioCommon.DriverFeatureSelect, VirtioCommon.DriverFeature);

    public void SetCommand(ushort value) => Device.Function.WriteConfig(4, [(byte)value, (byte)(value >> 8)]);

    public ulong Load(ulong offset, int width)
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        Bus.Mmio.Read(Bar + offset, bytes[..width]);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    public void Store(ulong offset, ulong value, int width)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        Bus.Mmio.Write(Bar + offset, bytes[..width]);
    }

    public void SetStatus(VirtioStatus status) => Store(VirtioCommon.DeviceStatus, (byte)status, 1);

    /// <summary>Sets a status bit on top of those that are set, as drivers do.</summary>
    public VirtioStatus AddStatus(VirtioStatus bit)
    {
        SetStatus(Status | bit);
        return Status;
    }

    public void Accept(ulong features)
    {
        for (uint half = 0; half < 2; half++)
        {
            Store(VirtioCommon.DriverFeatureSelect, half, 4);
            Store(VirtioCommon.DriverFeature, (uint)(features >> (int)half * 32), 4);
        }
    }

    ulong Features(ulong select, ulong value)
    {
        Store(select, 0, 4);
        var low = Load(value, 4);
        Store(select, 1, 4);
        return low | Load(value, 4) << 32;
    }

    /// <summary>Reset, then up to FEATURES_OK with all that is offered, or the part of it that a mask names.</summary>
    public VirtioBench Negotiate(ulong mask = ulong.MaxValue)
    {
        SetStatus(VirtioStatus.None);
        AddStatus(VirtioStatus.Acknowledge);
        AddStatus(VirtioStatus.Driver);
        Accept(Offered & mask);
        Assert.Equal(VirtioStatus.Acknowledge | VirtioStatus.Driver | VirtioStatus.FeaturesOk, AddStatus(VirtioStatus.FeaturesOk));
        return this;
    }

    /// <summary>A queue of so many entries, set up and enabled.</summary>
    public GuestRing Enable(int queue, int size, ushort vector = VirtioCommon.NoVector)
    {
        var ring = new GuestRing(this, queue, size, (Accepted & VirtioFeature.RingPacked) != 0);
        Memory.TryWrite(new Gpa(ring.Descriptors), new byte[0x1_0000]);
        SetUp(queue, size, ring.Descriptors, ring.Driver, ring.Device);
        Store(VirtioCommon.QueueMsixVector, vector, 2);
        Store(VirtioCommon.QueueEnable, 1, 2);
        return ring;
    }

    /// <summary>Everything about a queue but enabling it.</summary>
    public void SetUp(int queue, int size, ulong descriptors, ulong driver, ulong device)
    {
        Store(VirtioCommon.QueueSelect, (uint)queue, 2);
        Store(VirtioCommon.QueueSize, (uint)size, 2);
        Store64(VirtioCommon.QueueDesc, descriptors);
        Store64(VirtioCommon.QueueDriver, driver);
        Store64(VirtioCommon.QueueDevice, device);
    }

    /// <summary>64-bit fields are written in halves (§4.1.3.1).</summary>
    public void Store64(ulong offset, ulong value)
    {
        Store(offset, (uint)value, 4);
        Store(offset + 4, value >> 32, 4);
    }

    /// <summary>Working, with queue 0.</summary>
    public GuestRing Start(int size = 16, ulong mask = ulong.MaxValue, ushort vector = VirtioCommon.NoVector)
    {
        Negotiate(mask);
        var ring = Enable(0, size, vector);
        AddStatus(VirtioStatus.DriverOk);
        return ring;
    }

    public void Notify(int queue = 0) => Store(NotifyBase + (ulong)queue * 4, (uint)queue, 2);

    /// <summary>Turns MSI-X on with vector n sending data 0x40 + n.</summary>
    public void EnableMsix()
    {
        for (var i = 0; i < Device.VectorCount; i++)
        {
            var entry = MsixTable + (ulong)i * 16;
            Store(entry, 0xFEE0_0000, 4);
            Store(entry + 8, 0x40u + (uint)i, 4);
            Store(entry + 12, 0, 4);
        }

        Device.Function.WriteConfig(Device.Function.Msix!.Offset + 2, [0, 0x80]);
    }

    public void Pass(ulong nanoseconds = 1_000_000)
    {
        Clock.Charge(Clock.ToCycles(nanoseconds, 1_000_000_000));
        Clock.RunDue();
    }

    public byte[] Bytes(ulong address, int length)
    {
        var bytes = new byte[length];
        Assert.True(Memory.TryRead(new Gpa(address), bytes.AsSpan()));
        return bytes;
    }

    public ushort U16(ulong address) => BinaryPrimitives.ReadUInt16LittleEndian(Bytes(address, 2));

    public void Put(ulong address, ReadOnlySpan<byte> bytes) => Assert.True(Memory.TryWrite(new Gpa(address), bytes));

    public void Put16(ulong address, int value) => Put(address, [(byte)value, (byte)(value >> 8)]);

    public void Put64(ulong address, ulong value) => Assert.True(Memory.TryWrite(new Gpa(address), value));

    /// <summary>An identity map of all RAM behind an IOMMU, from which pages can be taken.</summary>
    public TableTranslator Translate()
    {
        var translator = new TableTranslator();
        for (ulong page = 0; page < 16 << 20 >> 12; page++)
        {
            translator.Pages[page] = (page, true, true);
        }

        Device.Function.Dma.Translator = translator;
        return translator;
    }

    public (byte[] Function, byte[] Device) Save()
    {
        SnapshotWriter function = new(), device = new();
        Device.Function.Save(function);
        Device.Save(device);
        return (function.Written.ToArray(), device.Written.ToArray());
    }

    public void Load((byte[] Function, byte[] Device) saved)
    {
        Device.Function.Load(new SnapshotReader("f", 1, saved.Function));
        var reader = new SnapshotReader("d", 1, saved.Device);
        Device.Load(reader);
        reader.End();
    }

    public void Dispose() => Memory.Dispose();
}
