using System.Runtime.InteropServices;
using Vmm.Platform.Memory;
using Vmm.Specs.Virtio;
using Xunit;

namespace Vmm.Unit.Virtio;

/// <summary>A piece of a buffer as the driver offers it.</summary>
readonly record struct Piece(ulong Address, uint Length, bool IsWritable = false)
{
    public ushort Flags => IsWritable ? DescriptorFlags.Write : (ushort)0;
}

/// <summary>What the device gave back.</summary>
readonly record struct UsedBuffer(uint Id, uint Length);

/// <summary>The driver's side of a queue, in either format, written from the specification and not from the device.</summary>
sealed class GuestRing(VirtioBench bench, int index, int entries, bool isPacked)
{
    readonly int size = entries;
    readonly Dictionary<int, int> counts = [];
    int next;
    int free = entries;
    bool wrap = true;
    int usedAt;
    bool usedWrap = true;
    ushort available;
    ushort usedIndex;
    int ids;

    public ulong Descriptors { get; } = 0x1_0000 + (ulong)index * 0x1_0000;

    public ulong Driver => Descriptors + 0x8000;

    public ulong Device => Descriptors + 0xC000;

    public int Size => size;

    public bool IsPacked => isPacked;

    /// <summary>Index of the next entry of the available ring.</summary>
    public ushort Available => available;

    /// <summary>Next place of a packed ring, with the wrap counter in bit 15.</summary>
    public int NextPlace => next | (wrap ? 0x8000 : 0);

    public ulong DescriptorAt(int at) => Descriptors + (ulong)at * 16;

    /// <summary>Offers a buffer of chained descriptors; returns its id.</summary>
    public int Add(params ReadOnlySpan<Piece> pieces) => isPacked ? AddPacked(pieces, 0) : AddSplit(pieces, 0);

    /// <summary>Offers a buffer as one indirect table at an address.</summary>
    public int AddIndirect(ulong table, params ReadOnlySpan<Piece> pieces)
    {
        PutTable(table, pieces);
        Piece reference = new(table, (uint)pieces.Length * 16);
        return isPacked ? AddPacked([reference], DescriptorFlags.Indirect) : AddSplit([reference], DescriptorFlags.Indirect);
    }

    /// <summary>Offers a buffer without asking whether there is room, and forgets what is in flight: for a driver gone mad.</summary>
    public void AddLoosely(ulong table, params ReadOnlySpan<Piece> pieces)
    {
        if (pieces.Length > size)
        {
            return;
        }

        free = size;
        _ = table != 0 ? AddIndirect(table, pieces) : Add(pieces);
    }

    /// <summary>Writes an indirect table.</summary>
    public void PutTable(ulong table, params ReadOnlySpan<Piece> pieces)
    {
        for (var i = 0; i < pieces.Length; i++)
        {
            var more = i + 1 < pieces.Length && !isPacked;
            PutDescriptor(table + (ulong)i * 16, pieces[i].Address, pieces[i].Length, (ushort)(pieces[i].Flags | (more ? DescriptorFlags.Next : 0)), (ushort)(i + 1));
        }
    }

    /// <summary>Writes a descriptor: the last two fields are flags and next (split), or id and flags (packed).</summary>
    public void PutDescriptor(ulong at, ulong address, uint length, ushort flags, ushort nextOrId)
    {
        SplitDescriptor split = new() { Address = address, Length = length, Flags = flags, Next = nextOrId };
        PackedDescriptor packed = new() { Address = address, Length = length, Flags = flags, Id = nextOrId };
        Assert.True(isPacked ? bench.Memory.TryWrite(new Gpa(at), packed) : bench.Memory.TryWrite(new Gpa(at), split));
    }

    /// <summary>Flags that make a packed descriptor at the next place available.</summary>
    public ushort AvailableFlags => wrap ? DescriptorFlags.Available : DescriptorFlags.Used;

    /// <summary>Puts any head into the available ring (split).</summary>
    public void Offer(int head)
    {
        bench.Put16(Driver + 4 + 2 * (ulong)(available % size), head);
        bench.Put16(Driver + 2, ++available);
    }

    /// <summary>Takes one buffer that the device gave back.</summary>
    public UsedBuffer? TryPop() => isPacked ? PopPacked() : PopSplit();

    /// <summary>Says when the device shall interrupt: at the used buffer so many after those taken; needs EVENT_IDX.</summary>
    public void AskInterruptAt(int buffersAhead)
    {
        if (!isPacked)
        {
            bench.Put16(Driver + 4 + 2 * (ulong)size, usedIndex + buffersAhead);
            return;
        }

        var place = usedAt + buffersAhead;
        var lap = place >= size ? !usedWrap : usedWrap;
        bench.Put16(Driver, place % size | (lap ? 0x8000 : 0));
        bench.Put16(Driver + 2, 2);
    }

    /// <summary>Turns interrupts off or on with the flags.</summary>
    public void SuppressInterrupts(bool off) => bench.Put16(isPacked ? Driver + 2 : Driver, off ? 1 : 0);

    int AddSplit(ReadOnlySpan<Piece> pieces, ushort lastFlags)
    {
        Assert.True(pieces.Length <= free);
        var head = next;
        for (var i = 0; i < pieces.Length; i++)
        {
            var more = i + 1 < pieces.Length;
            var flags = (ushort)(pieces[i].Flags | (more ? DescriptorFlags.Next : lastFlags));
            PutDescriptor(DescriptorAt(next), pieces[i].Address, pieces[i].Length, flags, (ushort)((next + 1) % size));
            next = (next + 1) % size;
        }

        free -= pieces.Length;
        counts[head] = pieces.Length;
        Offer(head);
        return head;
    }

    int AddPacked(ReadOnlySpan<Piece> pieces, ushort lastFlags)
    {
        Assert.True(pieces.Length <= free);
        var id = ids++ % size;
        var first = next;
        var firstFlags = (ushort)0;
        for (var i = 0; i < pieces.Length; i++)
        {
            var more = i + 1 < pieces.Length;
            var flags = (ushort)(pieces[i].Flags | AvailableFlags | (more ? DescriptorFlags.Next : lastFlags));
            firstFlags = i == 0 ? flags : firstFlags;
            PutDescriptor(DescriptorAt(next), pieces[i].Address, pieces[i].Length, i == 0 ? (ushort)0 : flags, (ushort)id);
            if (++next == size)
            {
                next = 0;
                wrap = !wrap;
            }
        }

        bench.Put16(DescriptorAt(first) + 14, firstFlags);
        free -= pieces.Length;
        counts[id] = pieces.Length;
        return id;
    }

    UsedBuffer? PopSplit()
    {
        if (bench.U16(Device + 2) == usedIndex)
        {
            return null;
        }

        var entry = MemoryMarshal.Cast<byte, uint>(bench.Bytes(Device + 4 + 8 * (ulong)(usedIndex % size), 8));
        usedIndex++;
        free += counts.GetValueOrDefault((int)entry[0]);
        return new(entry[0], entry[1]);
    }

    UsedBuffer? PopPacked()
    {
        Assert.True(bench.Memory.TryRead(new Gpa(DescriptorAt(usedAt)), out PackedDescriptor entry));
        var (isAvailable, isUsed) = ((entry.Flags & DescriptorFlags.Available) != 0, (entry.Flags & DescriptorFlags.Used) != 0);
        if (isAvailable != usedWrap || isUsed != usedWrap)
        {
            return null;
        }

        usedAt += counts[entry.Id];
        free += counts[entry.Id];
        if (usedAt >= size)
        {
            usedAt -= size;
            usedWrap = !usedWrap;
        }

        return new(entry.Id, (entry.Flags & DescriptorFlags.Write) != 0 ? entry.Length : 0);
    }
}
