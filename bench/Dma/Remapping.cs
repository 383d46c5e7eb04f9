using System.Buffers.Binary;
using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Specs.VtD;

namespace Vmm.Bench.Dma;

/// <summary>Counts messages.</summary>
internal sealed class CountingSink : IInterruptSink
{
    /// <summary>Messages so far.</summary>
    public ulong Delivered { get; private set; }

    /// <inheritdoc/>
    public void Deliver(MsiMessage message) => Delivered++;
}

/// <summary>A remapping unit in legacy mode with 4-level second stages (VT-d §3.4.3, §3.7), set up as a driver does it.</summary>
internal sealed class Remapping
{
    const int Levels = 4;
    const ulong ReadWrite = 3;

    readonly GuestMemory memory;
    readonly ulong root;
    ulong next;

    /// <param name="memory">RAM.</param>
    /// <param name="sink">Takes the unit's own messages.</param>
    /// <param name="tables">Address of the first free page; tables grow from there.</param>
    public Remapping(GuestMemory memory, IInterruptSink sink, ulong tables)
    {
        this.memory = memory;
        next = tables;
        Unit = new(new() { AddressWidth = 48 }, memory, sink);
        root = NewPage();
    }

    /// <summary>The unit, with the default caches.</summary>
    public VtdUnit Unit { get; }

    /// <summary>Gives a device an empty second stage; returns its root.</summary>
    public ulong Attach(Bdf device, ushort domain)
    {
        var slot = root + device.Bus * 16ul;
        if (Peek(slot) == 0)
        {
            Poke(slot, NewPage() | 1);
        }

        var context = (Peek(slot) & ~0xFFFul) + device.DevFn * 16ul;
        var table = NewPage();
        Poke(context, table | 1);
        Poke(context + 8, 2 | (ulong)domain << 8);
        return table;
    }

    /// <summary>Maps a 4 KiB page for reading and writing.</summary>
    public void Map(ulong table, ulong input, ulong output)
    {
        for (var level = Levels; level > 1; level--)
        {
            var entry = table + (input >> 12 + 9 * (level - 1) & 511) * 8;
            if (Peek(entry) == 0)
            {
                Poke(entry, NewPage() | ReadWrite);
            }

            table = Peek(entry) & ~0xFFFul;
        }

        Poke(table + (input >> 12 & 511) * 8, output | ReadWrite);
    }

    /// <summary>Maps every page of the 48-bit space to one page, through one table at each level.</summary>
    public void MapEverything(ulong table, ulong output)
    {
        for (var level = Levels; level >= 1; level--)
        {
            var target = level == 1 ? output : NewPage();
            for (var i = 0ul; i < 512; i++)
            {
                Poke(table + i * 8, target | ReadWrite);
            }

            table = target;
        }
    }

    /// <summary>Sets the root table and turns translation on (VT-d §11.4.4).</summary>
    public void Enable()
    {
        Write(VtdRegister.RTADDR, root, 8);
        Write(VtdRegister.GCMD, 1u << 30, 4);
        Write(VtdRegister.GCMD, 1u << 31, 4);
    }

    /// <summary>Second-stage entries read so far.</summary>
    public ulong EntriesRead()
    {
        var sum = 0ul;
        for (var level = 1; level <= Levels; level++)
        {
            sum += Unit.Counters.Reads(VtdTable.SecondStage, level);
        }

        return sum;
    }

    ulong NewPage()
    {
        next += 4096;
        return next - 4096;
    }

    void Write(ulong offset, ulong value, int width)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        Unit.Write(offset, bytes[..width]);
    }

    ulong Peek(ulong address) => memory.TryRead(new Gpa(address), out ulong value) ? value : throw new InvalidOperationException("tables outside RAM");

    void Poke(ulong address, ulong value)
    {
        if (!memory.TryWrite(new Gpa(address), value))
        {
            throw new InvalidOperationException("tables outside RAM");
        }
    }
}
