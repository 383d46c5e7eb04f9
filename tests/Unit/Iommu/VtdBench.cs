using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

/// <summary>Keeps what is delivered.</summary>
sealed class MessageLog : IInterruptSink
{
    public List<MsiMessage> Messages { get; } = [];

    public void Deliver(MsiMessage message) => Messages.Add(message);
}

/// <summary>One unit with memory, and the few things a driver does to it. Tables are written as raw quadwords.</summary>
sealed class VtdBench : IDisposable
{
    public static readonly Bdf Device = new(0, 3, 0);

    ulong nextPage = 0x10_0000;

    public VtdBench(VtdOptions? options = null)
    {
        Unit = new(options ?? new(), Memory, Sink);
        Root = Page();
        Queue = Page();
    }

    public GuestMemory Memory { get; } = new(32 << 20);

    public MessageLog Sink { get; } = new();

    public VtdUnit Unit { get; }

    public ulong Root { get; }

    public ulong Queue { get; }

    public uint Tail { get; set; }

    public uint DescriptorSize { get; set; } = 16;

    public ulong Page()
    {
        nextPage += 4096;
        return nextPage - 4096;
    }

    public void Poke(ulong address, params ReadOnlySpan<ulong> words)
    {
        for (var i = 0; i < words.Length; i++)
        {
            Assert.True(Memory.TryWrite(new Gpa(address + (ulong)i * 8), words[i]));
        }
    }

    public ulong Peek(ulong address)
    {
        Assert.True(Memory.TryRead(new Gpa(address), out ulong value));
        return value;
    }

    public void Write32(ulong offset, uint value) => Unit.Write(offset, BitConverter.GetBytes(value));

    public void Write64(ulong offset, ulong value) => Unit.Write(offset, BitConverter.GetBytes(value));

    public uint Read32(ulong offset)
    {
        var bytes = new byte[4];
        Unit.Read(offset, bytes);
        return BitConverter.ToUInt32(bytes);
    }

    public ulong Read64(ulong offset)
    {
        var bytes = new byte[8];
        Unit.Read(offset, bytes);
        return BitConverter.ToUInt64(bytes);
    }

    /// <summary>Sets one GCMD bit on top of the present state, as drivers do.</summary>
    public void Command(uint bit) => Write32(0x18, Read32(0x1C) & 0x96FF_FFFF | bit);

    public void SetRoot(ulong rtaddr)
    {
        Write64(0x20, rtaddr);
        Command(1u << 30);
    }

    /// <summary>Turns legacy translation on with this bench's root table.</summary>
    public void EnableLegacy()
    {
        SetRoot(Root);
        Command(1u << 31);
    }

    /// <summary>Turns scalable translation on with this bench's root table.</summary>
    public void EnableScalable()
    {
        SetRoot(Root | 1 << 10);
        Command(1u << 31);
    }

    public void EnableQueue(bool wide = false)
    {
        DescriptorSize = wide ? 32u : 16u;
        Write64(0x88, 0);
        Write64(0x90, Queue | (wide ? 0x800ul : 0));
        Command(1u << 26);
        Tail = 0;
    }

    /// <summary>Queues one descriptor and moves the tail.</summary>
    public void Submit(ulong low, ulong high = 0)
    {
        Place(low, high);
        Write64(0x88, Tail);
    }

    public void Place(ulong low, ulong high = 0)
    {
        Poke(Queue + Tail, low, high);
        if (DescriptorSize == 32)
        {
            Poke(Queue + Tail + 16, 0, 0);
        }

        Tail = (Tail + DescriptorSize) % 4096;
    }

    public void FlushAll()
    {
        Submit(0x01 | 1 << 4);
        Submit(0x02 | 1 << 4);
        if (Unit.Capabilities.Ecap.SMTS)
        {
            Submit(0x07 | 3 << 4);
        }
    }

    // Legacy tables.
    public ulong LegacyContextAddress(Bdf device)
    {
        var root = Root + device.Bus * 16ul;
        if (Peek(root) == 0)
        {
            Poke(root, Page() | 1, 0);
        }

        return (Peek(root) & ~0xFFFul) + device.DevFn * 16ul;
    }

    public void SetLegacy(Bdf device, ulong low, ulong high) => Poke(LegacyContextAddress(device), low, high);

    /// <summary>A 4-level second stage for the device; returns its root.</summary>
    public ulong AttachLegacy(Bdf device, ushort domain, int aw = 2, ulong lowBits = 1)
    {
        var table = Page();
        SetLegacy(device, table | lowBits, (uint)aw | (ulong)domain << 8);
        return table;
    }

    // Scalable tables.
    public ulong ScalableContextAddress(Bdf device)
    {
        var root = Root + device.Bus * 16ul + (device.DevFn >= 128 ? 8ul : 0);
        if (Peek(root) == 0)
        {
            Poke(root, Page() | 1);
        }

        return (Peek(root) & ~0xFFFul) + (device.DevFn & 127u) * 32;
    }

    /// <summary>Gives the device a PASID directory of 2^13 PASIDs and DTE, PASIDE and PRE; returns the directory.</summary>
    public ulong AttachScalable(Bdf device, ulong flags = 0b11101, ulong high = 0)
    {
        var directory = Page();
        Poke(ScalableContextAddress(device), directory | flags, high, 0, 0);
        return directory;
    }

    public ulong PasidEntryAddress(ulong directory, uint pasid)
    {
        var slot = directory + (pasid >> 6) * 8;
        if (Peek(slot) == 0)
        {
            Poke(slot, Page() | 1);
        }

        return (Peek(slot) & ~0xFFFul) + (pasid & 63) * 64;
    }

    public void SetPasid(ulong directory, uint pasid, ulong q0, ulong q1 = 0, ulong q2 = 0) =>
        Poke(PasidEntryAddress(directory, pasid), q0, q1, q2, 0, 0, 0, 0, 0);

    /// <summary>Address of the paging entry for <paramref name="input"/> at <paramref name="level"/>; builds the tables above it.</summary>
    public ulong EntryAddress(ulong root, int levels, ulong input, int level = 1, ulong tableBits = 3)
    {
        var table = root;
        for (var at = levels; ; at--)
        {
            var entry = table + (input >> 12 + 9 * (at - 1) & 0x1FF) * 8;
            if (at == level)
            {
                return entry;
            }

            if (Peek(entry) == 0)
            {
                Poke(entry, Page() | tableBits);
            }

            table = Peek(entry) & 0xF_FFFF_FFFF_F000;
        }
    }

    public void Map(ulong root, ulong input, ulong entry, int level = 1, int levels = 4, ulong tableBits = 3) =>
        Poke(EntryAddress(root, levels, input, level, tableBits), entry);

    // Requests.
    public bool Dma(ulong address, DmaAccess access, out DmaWindow window, Bdf? device = null, uint? pasid = null, bool privileged = false, bool execute = false) =>
        Unit.TryTranslate(new(device ?? Device, new(address), access, pasid ?? 0, pasid.HasValue, privileged, execute), out window);

    public ulong? Translate(ulong address, DmaAccess access = DmaAccess.Read, Bdf? device = null, uint? pasid = null, bool privileged = false, bool execute = false) =>
        Dma(address, access, out var window, device, pasid, privileged, execute) ? window.Address.Value : null;

    /// <summary>The record in a fault-recording register, cleared as a driver clears it. Fails when there is none.</summary>
    public FaultRecord TakeFault(int index = 0)
    {
        var offset = 0x220ul + 16 * (ulong)index;
        var record = new FaultRecord(Read64(offset + 8), Read64(offset));
        Assert.True(record.F, "no fault is recorded");
        Write32(offset + 12, 1u << 31);
        Write32(0x34, 1);
        return record;
    }

    /// <summary>Asserts that the request is blocked with this reason in the record, in the report and nowhere else.</summary>
    public FaultRecord AssertFault(
        FaultReason reason, ulong address, DmaAccess access = DmaAccess.Read, Bdf? device = null, uint? pasid = null, bool privileged = false, bool execute = false)
    {
        var request = new DmaRequest(device ?? Device, new(address), access, pasid ?? 0, pasid.HasValue, privileged, execute);
        Assert.Equal(reason, Unit.Explain(request).Fault);
        Assert.False(Unit.TryTranslate(request, out _));
        var index = (int)(Read32(0x34) >> 8 & 0xFF);
        var record = TakeFault(index);
        Assert.Equal(reason, record.FR);
        Assert.Equal(request.Requester.Value, record.SID);
        Assert.Equal(address & ~0xFFFul, record.Page);
        return record;
    }

    public byte[] Snapshot()
    {
        var writer = new SnapshotWriter();
        Unit.Save(writer);
        return writer.Written.ToArray();
    }

    public void Restore(byte[] bytes) => Unit.Load(new SnapshotReader("vtd0", 1, bytes));

    public void Dispose() => Memory.Dispose();
}
