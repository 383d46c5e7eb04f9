using System.Runtime.InteropServices;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;

namespace Vmm.Virtio;

/// <summary>
/// The bytes of one buffer: first those that the device reads, then those that it writes, each with a position. How they
/// are cut into descriptors does not show (virtio 1.2 §2.6.4.2). A device owns one and opens buffer after buffer with it.
/// </summary>
/// <param name="capacity">Most descriptors of a buffer: the largest queue it is used with.</param>
public sealed class DescriptorChain(int capacity)
{
    readonly Segment[] segments = new Segment[capacity];
    DmaPort? port;
    DmaCursor data;
    int count;
    int readable;
    Position read;
    Position write;

    readonly record struct Segment(ulong Address, uint Length);

    struct Position
    {
        public int Segment;
        public uint Offset;
        public ulong Left;
    }

    /// <summary>The buffer that is open.</summary>
    public VirtioBuffer Buffer { get; private set; }

    /// <summary>Bytes that the device reads.</summary>
    public ulong ReadableLength { get; private set; }

    /// <summary>Bytes that the device may write.</summary>
    public ulong WritableLength { get; private set; }

    /// <summary>Bytes not read yet.</summary>
    public ulong ReadableLeft => read.Left;

    /// <summary>Bytes not written yet.</summary>
    public ulong WritableLeft => write.Left;

    /// <summary>Reads the next bytes. False when there are fewer, or when the DMA is blocked; the contents are then undefined.</summary>
    public bool TryRead(Span<byte> destination)
    {
        if ((ulong)destination.Length > read.Left)
        {
            return false;
        }

        while (destination.Length > 0)
        {
            var address = Piece(ref read, destination.Length, out var length);
            if (!port!.TryRead(ref data, address, destination[..length]))
            {
                return false;
            }

            destination = destination[length..];
        }

        return true;
    }

    /// <summary>Writes the next bytes. False when there is less room, or when the DMA is blocked; some may be written then.</summary>
    public bool TryWrite(ReadOnlySpan<byte> source)
    {
        if ((ulong)source.Length > write.Left)
        {
            return false;
        }

        while (source.Length > 0)
        {
            var address = Piece(ref write, source.Length, out var length);
            if (!port!.TryWrite(ref data, address, source[..length]))
            {
                return false;
            }

            source = source[length..];
        }

        return true;
    }

    /// <summary>Reads the next bytes as a little-endian structure.</summary>
    public bool TryRead<T>(out T value)
        where T : unmanaged
    {
        value = default;
        return TryRead(MemoryMarshal.AsBytes(new Span<T>(ref value)));
    }

    /// <summary>Writes a little-endian structure.</summary>
    public bool TryWrite<T>(in T value)
        where T : unmanaged => TryWrite(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    /// <summary>Goes to a byte of the readable part. False when there is no such byte; its end counts as one.</summary>
    public bool SeekReadable(ulong offset) => Seek(ref read, 0, ReadableLength, offset);

    /// <summary>Goes to a byte of the writable part. False when there is no such byte; its end counts as one.</summary>
    public bool SeekWritable(ulong offset) => Seek(ref write, readable, WritableLength, offset);

    internal void Open(DmaPort port, in VirtioBuffer buffer)
    {
        this.port = port;
        Buffer = buffer;
        count = readable = 0;
        ReadableLength = WritableLength = 0;
    }

    /// <summary>Adds a piece; the reason when it cannot be.</summary>
    internal VirtioFault Add(ulong address, uint length, bool isWritable)
    {
        if (count == segments.Length)
        {
            return VirtioFault.ChainTooLong;
        }

        if (address + length < address && address + length != 0)
        {
            return VirtioFault.AddressWrap;
        }

        if (ReadableLength + WritableLength + length > 1ul << 32)
        {
            return VirtioFault.TooManyBytes;
        }

        if (isWritable)
        {
            WritableLength += length;
        }
        else if (count != readable)
        {
            return VirtioFault.ReadableAfterWritable;
        }
        else
        {
            ReadableLength += length;
            readable++;
        }

        segments[count++] = new(address, length);
        return VirtioFault.None;
    }

    internal void Rewind()
    {
        read = new() { Left = ReadableLength };
        write = new() { Segment = readable, Left = WritableLength };
    }

    /// <summary>Takes up to <paramref name="wanted"/> bytes of one segment; there must be a byte left.</summary>
    Iova Piece(ref Position at, int wanted, out int length)
    {
        while (at.Offset == segments[at.Segment].Length)
        {
            at.Segment++;
            at.Offset = 0;
        }

        ref readonly var segment = ref segments[at.Segment];
        length = (int)Math.Min((uint)wanted, segment.Length - at.Offset);
        var address = new Iova(segment.Address + at.Offset);
        at.Offset += (uint)length;
        at.Left -= (uint)length;
        return address;
    }

    bool Seek(ref Position at, int first, ulong length, ulong offset)
    {
        if (offset > length)
        {
            return false;
        }

        at = new() { Segment = first, Left = length - offset };
        while (at.Segment < count && offset >= segments[at.Segment].Length)
        {
            offset -= segments[at.Segment++].Length;
        }

        at.Offset = (uint)offset;
        return true;
    }
}
