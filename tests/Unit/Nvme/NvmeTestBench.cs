using System.Buffers.Binary;
using Vmm.Chipset;
using Vmm.Nvme;
using Vmm.Platform.Block;
using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;
using Vmm.Specs.Nvme;
using Vmm.Unit.Dma;
using Xunit;

namespace Vmm.Unit.Nvme;

/// <summary>A backend whose next operations can be made to fail, and that counts flushes.</summary>
sealed class FaultyBackend(ulong length) : IBlockBackend
{
    readonly MemoryBlockBackend inner = new("faulty", length);

    public BlockResult ReadResult { get; set; }

    public BlockResult WriteResult { get; set; }

    public int Flushes { get; private set; }

    public string Name => "faulty";

    public ulong Length => length;

    public bool IsReadOnly { get; init; }

    public BlockResult Read(ulong offset, Span<byte> destination) =>
        ReadResult != BlockResult.Ok ? ReadResult : inner.Read(offset, destination);

    public BlockResult Write(ulong offset, ReadOnlySpan<byte> source) =>
        WriteResult != BlockResult.Ok ? WriteResult : inner.Write(offset, source);

    public BlockResult Zero(ulong offset, ulong length) => WriteResult != BlockResult.Ok ? WriteResult : inner.Zero(offset, length);

    public void Discard(ulong offset, ulong length) => inner.Discard(offset, length);

    public BlockResult Flush()
    {
        Flushes++;
        return WriteResult;
    }

    public void Dispose()
    {
    }
}

/// <summary>What a driver sees of a completion.</summary>
readonly record struct Completed(ushort Cid, int Queue, uint Head, NvmeStatus Status, uint Result)
{
    /// <summary>Status code and type without the More and Do Not Retry flags.</summary>
    public NvmeStatus Code => (NvmeStatus)((int)Status & 0x7FF);
}

/// <summary>A machine with one controller and a minimal driver that keeps its rings in RAM.</summary>
sealed class NvmeTestBench : IDisposable
{
    public const ulong AdminSq = 0x10_000, AdminCq = 0x14_000, IoSq = 0x18_000, IoCq = 0x19_000, Data = 0x40_000, List = 0x38_000;
    public const int Entries = 16;

    readonly RingState[] rings = new RingState[65];
    ushort nextCid;

    public NvmeTestBench(NvmeOptions? options = null, params IBlockBackend[] backends)
    {
        Backends = backends.Length != 0 ? backends : [new MemoryBlockBackend("disk", 8 << 20)];
        Fabric = new(Memory, Bus.Mmio, Sink);
        Host = new(Bus, Fabric);
        options ??= new() { Namespaces = [], IoQueues = 2 };
        if (options.Namespaces.Count == 0)
        {
            options = options with { Namespaces = [.. Backends.Select(static b => new NvmeNamespaceOptions(b))] };
        }

        Controller = new("nvme0", new(0, 4, 0), Fabric, Clock, options);
        Host.Add(Controller.Function);
        Host.AssignResources(PciWindows.Default);
        SetCommand(6);
    }

    public IBlockBackend[] Backends { get; }

    public GuestMemory Memory { get; } = new(4 << 20);

    public SystemBus Bus { get; } = new();

    public RecordingSink Sink { get; } = new();

    public VirtualClock Clock { get; } = new();

    public DmaFabric Fabric { get; }

    public PciHost Host { get; }

    public NvmeController Controller { get; }

    public ulong Bar => Controller.Function.Bars[0].Address;

    public NvmeCsts Csts => new((uint)Load(NvmeRegister.CSTS, 4));

    struct RingState
    {
        public ulong Sq;
        public ulong Cq;
        public uint Size;
        public uint Tail;
        public uint Head;
        public bool Phase;
    }

    public void SetCommand(ushort value) =>
        Controller.Function.WriteConfig(4, [(byte)value, (byte)(value >> 8)]);

    public ulong Load(ulong offset, int width)
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        Bus.Mmio.Read(Bar + offset, bytes[..width]);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    public void Store(ulong offset, ulong value, int width = 4)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        Bus.Mmio.Write(Bar + offset, bytes[..width]);
    }

    /// <summary>Turns MSI-X on with vector n sending data 0x40 + n.</summary>
    public void EnableMsix()
    {
        for (var i = 0; i < Controller.VectorCount; i++)
        {
            var entry = 0x2000ul + (ulong)i * 16;
            Store(entry, 0xFEE0_0000);
            Store(entry + 8, 0x40u + (uint)i);
            Store(entry + 12, 0);
        }

        Controller.Function.WriteConfig(Controller.Function.Msix!.Offset + 2, [0, 0x80]);
    }

    public void Enable(uint config = 0x0046_0001)
    {
        Store(NvmeRegister.AQA, (Entries - 1) << 16 | Entries - 1);
        Store(NvmeRegister.ASQ, AdminSq, 8);
        Store(NvmeRegister.ACQ, AdminCq, 8);
        rings[0] = new() { Sq = AdminSq, Cq = AdminCq, Size = Entries, Phase = true };
        Memory.TryWrite(new Gpa(AdminCq), new byte[4096]);
        Store(NvmeRegister.CC, config);
    }

    public void CreateQueue(int id = 1, uint size = Entries, int vector = 0)
    {
        var (sq, cq) = (IoSq + (ulong)(id - 1) * 0x2000, IoCq + (ulong)(id - 1) * 0x2000);
        Memory.TryWrite(new Gpa(cq), new byte[4096]);
        AssertOk(Admin(new() { Cdw0 = 5, PRP1 = cq, Cdw10 = (size - 1) << 16 | (uint)id, Cdw11 = (uint)vector << 16 | 3 }));
        AssertOk(Admin(new() { Cdw0 = 1, PRP1 = sq, Cdw10 = (size - 1) << 16 | (uint)id, Cdw11 = (uint)id << 16 | 1 }));
        rings[id] = new() { Sq = sq, Cq = cq, Size = size, Phase = true };
    }

    /// <summary>Queue 1 with its rings on pages of a larger size.</summary>
    public void CreateQueueAligned(ulong alignment)
    {
        var (sq, cq) = (0x80_000 & ~(alignment - 1), 0x90_000 & ~(alignment - 1));
        AssertOk(Admin(new() { Cdw0 = 5, PRP1 = cq, Cdw10 = (Entries - 1) << 16 | 1, Cdw11 = 3 }));
        AssertOk(Admin(new() { Cdw0 = 1, PRP1 = sq, Cdw10 = (Entries - 1) << 16 | 1, Cdw11 = 1 << 16 | 1 }));
        rings[1] = new() { Sq = sq, Cq = cq, Size = Entries, Phase = true };
    }

    /// <summary>Enabled, with MSI-X and one I/O queue pair on vector 1.</summary>
    public NvmeTestBench Started()
    {
        EnableMsix();
        Enable();
        CreateQueue(vector: 1);
        Sink.Messages.Clear();
        return this;
    }

    public static void AssertOk(Completed completed) => Assert.Equal(NvmeStatus.Success, completed.Status);

    /// <summary>Puts a command into a ring without ringing the doorbell; the CID is chosen here.</summary>
    public ushort Queue(int queue, NvmeCommand command)
    {
        ref var ring = ref rings[queue];
        command.Cdw0 = command.Cdw0 & 0xFFFF | (uint)++nextCid << 16;
        Assert.True(Memory.TryWrite(new Gpa(ring.Sq + ring.Tail * 64), command));
        ring.Tail = (ring.Tail + 1) % ring.Size;
        return nextCid;
    }

    public uint Tail(int queue) => rings[queue].Tail;

    public uint Head(int queue) => rings[queue].Head;

    public void Ring(int queue) => Store(0x1000 + (ulong)queue * 8, rings[queue].Tail);

    public void RingHead(int queue) => Store(0x1004 + (ulong)queue * 8, rings[queue].Head);

    public void Pass(ulong nanoseconds = 1_000_000)
    {
        Clock.Charge(Clock.ToCycles(nanoseconds, 1_000_000_000));
        Clock.RunDue();
    }

    /// <summary>Takes one completion off a ring, if there is one, without ringing.</summary>
    public Completed? TryPop(int queue)
    {
        ref var ring = ref rings[queue];
        Memory.TryRead(new Gpa(ring.Cq + ring.Head * 16), out NvmeCompletion entry);
        if ((entry.Status >> 16 & 1) != 0 != ring.Phase)
        {
            return null;
        }

        if (++ring.Head == ring.Size)
        {
            ring.Head = 0;
            ring.Phase = !ring.Phase;
        }

        return new((ushort)entry.Status, (int)(entry.Queue >> 16), entry.Queue & 0xFFFF, (NvmeStatus)(entry.Status >> 17), entry.Result);
    }

    public List<Completed> PopAll(int queue)
    {
        var all = new List<Completed>();
        while (TryPop(queue) is { } completed)
        {
            all.Add(completed);
        }

        RingHead(queue);
        return all;
    }

    /// <summary>Submits, lets time pass and takes the one completion.</summary>
    public Completed Submit(int queue, NvmeCommand command)
    {
        var cid = Queue(queue, command);
        Ring(queue);
        Pass();
        var completed = TryPop(queue);
        Assert.NotNull(completed);
        RingHead(queue);
        Assert.Equal(cid, completed.Value.Cid);
        return completed.Value;
    }

    public Completed Admin(NvmeCommand command) => Submit(0, command);

    public Completed Io(NvmeCommand command) => Submit(1, command);

    /// <summary>A read or write with one or two PRPs.</summary>
    public static NvmeCommand Transfer(byte opcode, ulong block, uint blocks, ulong prp1 = Data, ulong prp2 = 0, uint nsid = 1) => new()
    {
        Cdw0 = opcode,
        NSID = nsid,
        PRP1 = prp1,
        PRP2 = prp2,
        Cdw10 = (uint)block,
        Cdw11 = (uint)(block >> 32),
        Cdw12 = blocks - 1,
    };

    public byte[] Bytes(ulong address, int length)
    {
        var bytes = new byte[length];
        Assert.True(Memory.TryRead(new Gpa(address), bytes.AsSpan()));
        return bytes;
    }

    public void Put(ulong address, ReadOnlySpan<byte> bytes) => Assert.True(Memory.TryWrite(new Gpa(address), bytes));

    public void Put(ulong address, params ReadOnlySpan<ulong> words)
    {
        foreach (var word in words)
        {
            Assert.True(Memory.TryWrite(new Gpa(address), word));
            address += 8;
        }
    }

    public static byte[] Pattern(int length, int seed = 1)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    public byte[] Identify(byte cns, uint nsid = 0)
    {
        AssertOk(Admin(new() { Cdw0 = 6, NSID = nsid, PRP1 = Data, Cdw10 = cns }));
        return Bytes(Data, 4096);
    }

    public byte[] Log(byte id, int length = 512, bool retain = false, uint nsid = uint.MaxValue)
    {
        Put(Data, new byte[length]);
        AssertOk(Admin(new() { Cdw0 = 2, NSID = nsid, PRP1 = Data, Cdw10 = (uint)(length / 4 - 1) << 16 | (retain ? 1u << 15 : 0) | id }));
        return Bytes(Data, length);
    }

    public (byte[] Function, byte[] Device) Save()
    {
        SnapshotWriter function = new(), device = new();
        Controller.Function.Save(function);
        Controller.Save(device);
        return (function.Written.ToArray(), device.Written.ToArray());
    }

    public void Load((byte[] Function, byte[] Device) saved)
    {
        Controller.Function.Load(new SnapshotReader("f", 1, saved.Function));
        var reader = new SnapshotReader("d", 1, saved.Device);
        Controller.Load(reader);
        reader.End();
    }

    public void Dispose() => Memory.Dispose();
}
