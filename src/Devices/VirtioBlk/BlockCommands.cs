using System.Buffers.Binary;
using Vmm.Platform.Block;
using Vmm.Specs.Virtio;

namespace Vmm.VirtioBlk;

/// <content>What each request type does (§5.2.6). The chain is open.</content>
public sealed partial class BlockDevice
{
    /// <summary>Stands for a header that is too short or cannot be read.</summary>
    const uint NoHeader = uint.MaxValue;

    const uint MaxDiscardSectors = 1 << 22, MaxWriteZeroesSectors = 1 << 16;
    const int MaxDiscardSegments = 16, MaxWriteZeroesSegments = 1;

    readonly byte[] transfer = new byte[64 * 1024];

    Progress Execute(in Request request, ref ulong done, out VirtioBlkStatus status)
    {
        switch (request.Type)
        {
            case VirtioBlkRequest.In:
                return Read(request.Sector, ref done, out status);
            case VirtioBlkRequest.Out:
                return Write(request.Sector, ref done, out status);
            case VirtioBlkRequest.Flush:
                status = Check(backend.Flush());
                counters.Flushes += status == VirtioBlkStatus.Ok ? 1u : 0;
                break;
            case VirtioBlkRequest.GetId:
                status = GetId(ref done);
                break;
            case VirtioBlkRequest.Discard when (features & VirtioBlkFeature.Discard) != 0:
                status = Ranges(request.Type, MaxDiscardSegments, MaxDiscardSectors);
                break;
            case VirtioBlkRequest.WriteZeroes when (features & VirtioBlkFeature.WriteZeroes) != 0:
                status = Ranges(request.Type, MaxWriteZeroesSegments, MaxWriteZeroesSectors);
                break;
            case NoHeader:
                status = VirtioBlkStatus.IoError;
                break;
            default:
                status = VirtioBlkStatus.Unsupported;
                break;
        }

        return Progress.Ended;
    }

    Progress Read(ulong sector, ref ulong done, out VirtioBlkStatus status)
    {
        var total = chain.WritableLength - 1;
        status = VirtioBlkStatus.IoError;
        if (total % SectorSize != 0 || !IsOnDisk(sector, total / SectorSize) || !chain.SeekWritable(done))
        {
            return Progress.Ended;
        }

        for (ulong moved = 0; done < total; moved += (uint)transfer.Length)
        {
            if (moved >= Slice)
            {
                return Progress.GoesOn;
            }

            var part = transfer.AsSpan(0, (int)Math.Min((ulong)transfer.Length, total - done));
            if (backend.Read(sector * SectorSize + done, part) != BlockResult.Ok || !chain.TryWrite(part))
            {
                return Progress.Ended;
            }

            done += (uint)part.Length;
        }

        status = VirtioBlkStatus.Ok;
        counters.Reads++;
        counters.BytesRead += total;
        return Progress.Ended;
    }

    Progress Write(ulong sector, ref ulong done, out VirtioBlkStatus status)
    {
        var total = chain.ReadableLength - VirtioBlkRequest.HeaderSize;
        status = VirtioBlkStatus.IoError;
        if (chain.ReadableLength < VirtioBlkRequest.HeaderSize || total % SectorSize != 0 || !IsOnDisk(sector, total / SectorSize) ||
            backend.IsReadOnly || !chain.SeekReadable(VirtioBlkRequest.HeaderSize + done))
        {
            return Progress.Ended;
        }

        for (ulong moved = 0; done < total; moved += (uint)transfer.Length)
        {
            if (moved >= Slice)
            {
                return Progress.GoesOn;
            }

            var part = transfer.AsSpan(0, (int)Math.Min((ulong)transfer.Length, total - done));
            if (!chain.TryRead(part) || backend.Write(sector * SectorSize + done, part) != BlockResult.Ok)
            {
                return Progress.Ended;
            }

            done += (uint)part.Length;
        }

        status = MakeDurable();
        counters.Writes += status == VirtioBlkStatus.Ok ? 1u : 0;
        counters.BytesWritten += total;
        return Progress.Ended;
    }

    VirtioBlkStatus MakeDurable() => WritesThrough ? Check(backend.Flush()) : VirtioBlkStatus.Ok;

    VirtioBlkStatus GetId(ref ulong done)
    {
        var part = id.AsSpan(0, (int)Math.Min(VirtioBlkRequest.IdSize, chain.WritableLength - 1));
        if (!chain.TryWrite(part))
        {
            return VirtioBlkStatus.IoError;
        }

        done = (uint)part.Length;
        return VirtioBlkStatus.Ok;
    }

    /// <summary>Discard and write zeroes: all segments are checked before the first is carried out.</summary>
    VirtioBlkStatus Ranges(uint type, int maxSegments, uint maxSectors)
    {
        var length = chain.ReadableLength - VirtioBlkRequest.HeaderSize;
        if (length == 0 || length % VirtioBlkRequest.SegmentSize != 0 || length / VirtioBlkRequest.SegmentSize > (uint)maxSegments)
        {
            return VirtioBlkStatus.IoError;
        }

        Span<byte> bytes = stackalloc byte[MaxDiscardSegments * VirtioBlkRequest.SegmentSize];
        bytes = bytes[..(int)length];
        if (!chain.SeekReadable(VirtioBlkRequest.HeaderSize) || !chain.TryRead(bytes))
        {
            return VirtioBlkStatus.IoError;
        }

        for (var at = 0; at < bytes.Length; at += VirtioBlkRequest.SegmentSize)
        {
            var status = CheckRange(type, bytes[at..], maxSectors);
            if (status != VirtioBlkStatus.Ok)
            {
                return status;
            }
        }

        return ChangeRanges(type, bytes);
    }

    /// <summary>§5.2.6.2: flags that are unknown, and unmap in a discard, are unsupported.</summary>
    VirtioBlkStatus CheckRange(uint type, ReadOnlySpan<byte> segment, uint maxSectors)
    {
        var flags = BinaryPrimitives.ReadUInt32LittleEndian(segment[12..]);
        if ((flags & ~(type == VirtioBlkRequest.Discard ? 0 : VirtioBlkRequest.Unmap)) != 0)
        {
            return VirtioBlkStatus.Unsupported;
        }

        var count = BinaryPrimitives.ReadUInt32LittleEndian(segment[8..]);
        return count <= maxSectors && IsOnDisk(BinaryPrimitives.ReadUInt64LittleEndian(segment), count)
            ? VirtioBlkStatus.Ok
            : VirtioBlkStatus.IoError;
    }

    VirtioBlkStatus ChangeRanges(uint type, ReadOnlySpan<byte> segments)
    {
        for (; segments.Length > 0; segments = segments[VirtioBlkRequest.SegmentSize..])
        {
            var offset = BinaryPrimitives.ReadUInt64LittleEndian(segments) * SectorSize;
            var length = (ulong)BinaryPrimitives.ReadUInt32LittleEndian(segments[8..]) * SectorSize;
            if (type == VirtioBlkRequest.Discard)
            {
                backend.Discard(offset, length);
            }
            else if (backend.Zero(offset, length) != BlockResult.Ok)
            {
                return VirtioBlkStatus.IoError;
            }
        }

        return MakeDurable();
    }
}
