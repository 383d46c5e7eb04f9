using System.Buffers.Binary;
using Vmm.Platform.Block;
using Vmm.Specs.Virtio;
using Vmm.Unit.Virtio;
using Vmm.Virtio;
using Vmm.VirtioBlk;
using Xunit;

namespace Vmm.Unit.VirtioBlk;

/// <summary>A backend that counts, and whose operations can be made to fail.</summary>
sealed class WatchedBackend(ulong length, bool isReadOnly = false) : IBlockBackend
{
    readonly MemoryBlockBackend inner = new("watched", length);

    public BlockResult ReadResult { get; set; }

    public BlockResult WriteResult { get; set; }

    public BlockResult FlushResult { get; set; }

    public int Flushes { get; private set; }

    public List<(ulong Offset, ulong Length)> Discards { get; } = [];

    public List<(ulong Offset, ulong Length)> Zeroed { get; } = [];

    public string Name => "watched";

    public ulong Length => length;

    public bool IsReadOnly => isReadOnly;

    public BlockResult Read(ulong offset, Span<byte> destination) => ReadResult != BlockResult.Ok ? ReadResult : inner.Read(offset, destination);

    public BlockResult Write(ulong offset, ReadOnlySpan<byte> source) => WriteResult != BlockResult.Ok ? WriteResult : inner.Write(offset, source);

    public BlockResult Zero(ulong offset, ulong length)
    {
        Zeroed.Add((offset, length));
        return WriteResult != BlockResult.Ok ? WriteResult : inner.Zero(offset, length);
    }

    public void Discard(ulong offset, ulong length) => Discards.Add((offset, length));

    public BlockResult Flush()
    {
        Flushes++;
        return FlushResult;
    }

    public byte[] Bytes(ulong offset, int length)
    {
        var bytes = new byte[length];
        inner.Read(offset, bytes);
        return bytes;
    }

    public void Dispose()
    {
    }
}

/// <summary>A segment of a discard or write zeroes request.</summary>
readonly record struct Extent(ulong Sector, uint Count, uint Flags);

/// <summary>The bench with a block device and one request after the other.</summary>
sealed class BlockBench : IDisposable
{
    public const ulong Header = 0x18_0000, Status = 0x18_1000, Table = 0x18_2000, Data = VirtioBench.Buffers;

    public BlockBench(Func<VirtioBlkOptions, VirtioBlkOptions>? change = null, ulong length = 4 << 20, bool isReadOnly = false)
    {
        Backend = new(length, isReadOnly);
        var options = new VirtioBlkOptions { Backend = Backend, Serial = "serial-number", QueueEntries = 64 };
        BlockDevice? made = null;
        Bench = new((fabric, clock) => (made = new("virtio-blk0", new(0, 4, 0), fabric, clock, change?.Invoke(options) ?? options)).Transport);
        Device = made!;
    }

    public static BlockBench Create(bool isPacked) => new(o => o with { Transport = new() { Packed = isPacked } });

    public VirtioBench Bench { get; }

    public BlockDevice Device { get; }

    public WatchedBackend Backend { get; }

    public GuestRing Ring { get; private set; } = null!;

    public BlockBench Start(ulong mask = ulong.MaxValue, int size = 64)
    {
        Ring = Bench.Start(size, mask);
        return this;
    }

    public ulong Config(int offset, int width) => Bench.Load(VirtioBench.DeviceConfig + (ulong)offset, width);

    public void PutHeader(uint type, ulong sector, ulong at = Header)
    {
        Span<byte> header = stackalloc byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], sector);
        Bench.Put(at, header);
    }

    /// <summary>Sends one request and waits for it; the status byte, or null when the device needs a reset.</summary>
    public VirtioBlkStatus? Do(uint type, ulong sector, out uint written, params ReadOnlySpan<Piece> data)
    {
        PutHeader(type, sector);
        Bench.Put(Status, [0xEE]);
        Ring.Add([new Piece(Header, 16), .. data, new Piece(Status, 1, true)]);
        Bench.Notify();
        Bench.Pass();
        var used = Ring.TryPop();
        written = used?.Length ?? 0;
        return used == null ? null : (VirtioBlkStatus)Bench.Bytes(Status, 1)[0];
    }

    public VirtioBlkStatus? Do(uint type, ulong sector, params ReadOnlySpan<Piece> data) => Do(type, sector, out _, data);

    public VirtioBlkStatus? Read(ulong sector, uint sectors, ulong at = Data) => Do(VirtioBlkRequest.In, sector, new Piece(at, sectors * 512, true));

    public VirtioBlkStatus? Write(ulong sector, uint sectors, ulong at = Data) => Do(VirtioBlkRequest.Out, sector, new Piece(at, sectors * 512));

    /// <summary>Discard or write zeroes with these segments.</summary>
    public VirtioBlkStatus? Ranges(uint type, params ReadOnlySpan<Extent> segments)
    {
        var bytes = new byte[segments.Length * 16];
        for (var i = 0; i < segments.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(i * 16), segments[i].Sector);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(i * 16 + 8), segments[i].Count);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(i * 16 + 12), segments[i].Flags);
        }

        Bench.Put(Data, bytes);
        return Do(type, 0, new Piece(Data, (uint)bytes.Length));
    }

    public static byte[] Pattern(int length, int seed = 1)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    public void AssertWorks()
    {
        Start();
        Assert.Equal(VirtioBlkStatus.Ok, Read(0, 1));
    }

    public void Dispose() => Bench.Dispose();
}
