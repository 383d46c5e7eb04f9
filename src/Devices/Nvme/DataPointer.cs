using System.Runtime.InteropServices;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>
/// Walks the data of one command, piece by piece: PRPs (NVMe 1.4 §4.3) or SGLs (§4.4). Lists are read when they are
/// needed and never kept; every list that a guest can write ends: a PRP list page yields data or is refused, and a
/// command may use at most <see cref="DescriptorLimit"/> SGL descriptors.
/// </summary>
ref struct DataPointer
{
    /// <summary>SGL descriptors that one command may use.</summary>
    public const int DescriptorLimit = 2048;

    /// <summary>Length of the buffer that holds a part of a list.</summary>
    public const int ListBytes = 4096;

    readonly DmaPort port;
    readonly Span<byte> list;
    readonly ulong pageMask;
    readonly ulong prp2;
    readonly bool isSgl;
    ulong next;
    int remaining;
    int index;
    int count;
    State state;
    DmaCursor lists;

    // SGL only: descriptors of the segment beyond those in the buffer, and whether the segment is the last.
    uint segmentLeft;
    bool lastSegment;
    int budget;

    /// <param name="port">The controller's way to memory.</param>
    /// <param name="command">The command.</param>
    /// <param name="length">Bytes of its data.</param>
    /// <param name="pageSize">Memory page size, CC.MPS.</param>
    /// <param name="list">Buffer of <see cref="ListBytes"/>.</param>
    public DataPointer(DmaPort port, in NvmeCommand command, int length, ulong pageSize, Span<byte> list)
    {
        this.port = port;
        this.list = list;
        pageMask = pageSize - 1;
        prp2 = command.PRP2;
        next = command.PRP1;
        remaining = length;
        isSgl = command.PSDT != 0;
        if (isSgl)
        {
            // The command's own descriptor is a segment of one.
            budget = DescriptorLimit;
            count = 1;
            var inline = new NvmeSglDescriptor { Address = command.PRP1, Rest = command.PRP2 };
            MemoryMarshal.Write(list, in inline);
        }
    }

    enum State
    {
        First,
        Second,
        List,
    }

    /// <summary>Bytes not yet handed out.</summary>
    public readonly int Remaining => remaining;

    /// <summary>The next piece: never empty while <see cref="Remaining"/> is not 0.</summary>
    public NvmeStatus Next(out Iova address, out int length)
    {
        var status = isSgl ? NextSgl(out address, out length) : NextPrp(out address, out length);
        remaining -= length;
        return status;
    }

    NvmeStatus NextPrp(out Iova address, out int length)
    {
        address = default;
        length = 0;
        switch (state)
        {
            case State.First:
                if ((next & 3) != 0)
                {
                    return NvmeStatus.InvalidPrpOffset;
                }

                state = State.Second;
                return Piece(next, out address, out length);
            case State.Second when (ulong)remaining <= pageMask + 1:
                return (prp2 & pageMask) != 0 ? NvmeStatus.InvalidPrpOffset : Piece(prp2, out address, out length);
            case State.Second:
                if ((prp2 & 7) != 0)
                {
                    return NvmeStatus.InvalidPrpOffset;
                }

                next = prp2;
                state = State.List;
                break;
        }

        if (index == count && ReadPrpList() is not NvmeStatus.Success and var failure)
        {
            return failure;
        }

        var entry = MemoryMarshal.Read<ulong>(list[(index++ * 8)..]);
        return (entry & pageMask) != 0 ? NvmeStatus.InvalidPrpOffset : Piece(entry, out address, out length);
    }

    readonly NvmeStatus Piece(ulong from, out Iova address, out int length)
    {
        address = new(from);
        length = (int)Math.Min((ulong)remaining, pageMask + 1 - (from & pageMask));
        return NvmeStatus.Success;
    }

    /// <summary>Reads the entries at <c>next</c> that describe data; follows the pointer in a page's last entry.</summary>
    NvmeStatus ReadPrpList()
    {
        // A list may start at its page's last entry, so at most one page yields only a pointer.
        for (var page = 0; page < 2; page++)
        {
            var left = (int)((pageMask + 1 - (next & pageMask)) / 8);
            var needed = (int)(((ulong)remaining + pageMask) / (pageMask + 1));
            var entries = needed <= left ? needed : left - 1;
            if (entries > 0)
            {
                entries = Math.Min(entries, ListBytes / 8);
                index = 0;
                count = entries;
                var from = new Iova(next);
                next += (ulong)entries * 8;
                return port.TryRead(ref lists, from, list[..(entries * 8)]) ? NvmeStatus.Success : NvmeStatus.DataTransferError;
            }

            if (!port.TryRead(ref lists, new Iova(next), out next))
            {
                return NvmeStatus.DataTransferError;
            }

            if ((next & pageMask) != 0)
            {
                return NvmeStatus.InvalidPrpOffset;
            }
        }

        return NvmeStatus.InvalidPrpOffset;
    }

    NvmeStatus NextSgl(out Iova address, out int length)
    {
        address = default;
        length = 0;
        while (true)
        {
            if (index == count && ReadSegment() is not NvmeStatus.Success and var failure)
            {
                return failure;
            }

            if (budget-- == 0)
            {
                return NvmeStatus.InvalidSglCount;
            }

            var descriptor = MemoryMarshal.Read<NvmeSglDescriptor>(list[(index++ * NvmeSglDescriptor.Size)..]);
            if (descriptor.Subtype != 0 || descriptor.Type is not (NvmeSglDescriptor.DataBlock or NvmeSglDescriptor.Segment or NvmeSglDescriptor.LastSegment))
            {
                return NvmeStatus.InvalidSglType;
            }

            if (descriptor.Type != NvmeSglDescriptor.DataBlock)
            {
                // Only the last descriptor of a segment that is not the last may lead on.
                if (index != count || segmentLeft != 0 || lastSegment || descriptor.Length == 0 || descriptor.Length % NvmeSglDescriptor.Size != 0)
                {
                    return NvmeStatus.InvalidSglSegment;
                }

                next = descriptor.Address;
                segmentLeft = descriptor.Length / NvmeSglDescriptor.Size;
                lastSegment = descriptor.Type == NvmeSglDescriptor.LastSegment;
            }
            else if (descriptor.Length != 0)
            {
                address = new(descriptor.Address);
                length = (int)Math.Min((uint)remaining, descriptor.Length);
                return NvmeStatus.Success;
            }
        }
    }

    NvmeStatus ReadSegment()
    {
        if (segmentLeft == 0)
        {
            // Descriptors ran out before the data did.
            return NvmeStatus.InvalidSglLength;
        }

        count = (int)Math.Min(segmentLeft, ListBytes / NvmeSglDescriptor.Size);
        index = 0;
        var from = new Iova(next);
        segmentLeft -= (uint)count;
        next += (ulong)count * NvmeSglDescriptor.Size;
        return port.TryRead(ref lists, from, list[..(count * NvmeSglDescriptor.Size)]) ? NvmeStatus.Success : NvmeStatus.DataTransferError;
    }
}
