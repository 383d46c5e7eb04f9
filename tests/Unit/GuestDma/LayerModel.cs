using Vmm.Beds;
using Vmm.GuestDma;
using Vmm.GuestDma.Domains;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Xunit;

namespace Vmm.Unit.GuestDma;

/// <summary>
/// One device beside a simple model of it: which mappings exist, what their bytes are and who wrote them. Every operation
/// checks that the layer agrees.
/// </summary>
sealed class LayerModel
{
    const int MostLive = 24, MostPieces = 16, MostBytes = MostPieces << 12, MostCoherent = 3;

    static readonly byte[] Noise = MakeNoise();

    readonly DmaBed bed;
    readonly DmaDevice device;
    readonly DmaPort port;
    readonly Random random;
    readonly ulong bypassWindow;
    readonly int hotShare;
    readonly List<Mapping> live = [];
    readonly Stack<Mapping> spare = new();
    readonly List<Block>[] hot;
    readonly bool[] hotIsMapped;
    readonly List<(CoherentMemory Memory, int Noise)> coherent = [];
    readonly byte[] scratch = new byte[MostBytes];
    int nextNoise;

    readonly record struct Block(Gpa Address, int Order);

    sealed class Mapping
    {
        public readonly List<Block> Blocks = [];
        public readonly byte[] Expected = new byte[MostBytes];
        public ScatterEntry[] List = [];
        public int Segments, Bytes, Hot;
        public DmaDirection Direction;
        public DmaAttributes Attributes;
        public bool IsWritten;

        public bool SkipsSync => (Attributes & DmaAttributes.SkipCpuSync) != 0;
    }

    /// <param name="bed">The machine.</param>
    /// <param name="device">The device.</param>
    /// <param name="port">Its bus.</param>
    /// <param name="random">Chooses.</param>
    /// <param name="bypassWindow">Where mappings that bypass translation lie; 0 for none.</param>
    /// <param name="hotShare">How many of 8 buffers came before.</param>
    /// <param name="hotBuffers">Buffers that come again.</param>
    public LayerModel(DmaBed bed, DmaDevice device, DmaPort port, Random random, ulong bypassWindow = 0, int hotShare = 3, int hotBuffers = 16)
    {
        (this.bed, this.device, this.port, this.random, this.bypassWindow, this.hotShare) = (bed, device, port, random, bypassWindow, hotShare);
        hot = [.. Enumerable.Range(0, hotBuffers).Select(static _ => new List<Block>())];
        hotIsMapped = new bool[hotBuffers];
    }

    GuestPages Pages => bed.Machine.Pages;

    IDmaMapper Mapper => device.Mapper;

    bool Translates => device.Policy >= DmaPolicy.Strict;

    /// <summary>Anything mapped, coherent memory included.</summary>
    public bool IsIdle => live.Count + coherent.Count == 0;

    /// <summary>One random operation.</summary>
    public void Step()
    {
        var kind = random.Next(64);
        if (kind < 2)
        {
            StepCoherent();
        }
        else if (kind < 6 && live.Count > 0)
        {
            Use(live[random.Next(live.Count)]);
        }
        else if (live.Count < MostLive && (live.Count == 0 || random.Next(2) == 0))
        {
            Map();
        }
        else
        {
            var at = random.Next(live.Count);
            End(live[at]);
            live[at] = live[^1];
            live.RemoveAt(live.Count - 1);
        }

        if (device.Translated is { } translated && Translates)
        {
            Assert.Equal(live.Count, translated.Live);
        }
    }

    /// <summary>Ends every mapping and frees every buffer.</summary>
    public void Drain()
    {
        foreach (var mapping in live)
        {
            End(mapping);
        }

        live.Clear();
        while (coherent.Count > 0)
        {
            FreeCoherent(0);
        }

        foreach (var buffer in hot)
        {
            Free(buffer);
        }
    }

    void Map()
    {
        var mapping = spare.Count > 0 ? spare.Pop() : new();
        mapping.Hot = -1;
        mapping.IsWritten = false;
        mapping.Direction = (DmaDirection)random.Next(3);
        mapping.Attributes = Attributes();
        if (!TryDescribe(mapping))
        {
            Abandon(mapping);
            return;
        }

        Fill(mapping);
        var single = mapping.List.Length == 1 && random.Next(2) == 0;
        if (single)
        {
            ref var entry = ref mapping.List[0];
            entry.DmaAddress = Mapper.MapPage(entry.Address, entry.Length, mapping.Direction, mapping.Attributes);
            entry.DmaLength = entry.Length;
            mapping.Segments = entry.DmaAddress == IDmaMapper.MappingError ? 0 : 1;
        }
        else
        {
            mapping.Segments = Mapper.MapScatterList(mapping.List, mapping.Direction, mapping.Attributes);
        }

        if (mapping.Segments == 0)
        {
            Abandon(mapping);
            return;
        }

        CheckSegments(mapping);
        if (mapping.Hot >= 0)
        {
            hotIsMapped[mapping.Hot] = true;
        }

        live.Add(mapping);
        if (mapping.SkipsSync)
        {
            Mapper.SyncScatterListForDevice(mapping.List, mapping.Direction);
        }
    }

    DmaAttributes Attributes()
    {
        var attributes = DmaAttributes.None;
        attributes |= random.Next(8) == 0 ? DmaAttributes.SkipCpuSync : 0;
        attributes |= random.Next(8) == 0 ? DmaAttributes.PersistentStreaming : 0;
        attributes |= random.Next(16) == 0 ? DmaAttributes.Privileged : 0;
        return attributes | (bypassWindow != 0 && random.Next(64) == 0 ? DmaAttributes.BypassIommu : 0);
    }

    /// <summary>Memory for a mapping: a buffer that came before, part of a page, contiguous pages, whole pages of a list, or parts of pages.</summary>
    bool TryDescribe(Mapping mapping)
    {
        var buffer = random.Next(hot.Length);
        if (random.Next(8) < hotShare && !hotIsMapped[buffer])
        {
            return TryDescribeHot(mapping, buffer);
        }

        var (pieces, most, whole) = random.Next(5) switch
        {
            0 => (1, 0, false),
            1 => (1, 3, true),
            2 or 3 => (random.Next(2, MostPieces / 2), 1, true),
            _ => (random.Next(2, MostPieces), 0, false),
        };
        mapping.List = List(mapping, pieces);
        for (var i = 0; i < pieces; i++)
        {
            var order = random.Next(most + 1);
            if (!Pages.TryAllocate(order, AllocationSite.Buffer, out var address))
            {
                return false;
            }

            mapping.Blocks.Add(new(address, order));
            var offset = whole ? 0 : random.Next(1023) * 4;
            mapping.List[i] = new() { Address = address + (ulong)offset, Length = whole ? 4096 << order : random.Next(1, (4096 - offset) / 4 + 1) * 4 };
        }

        return true;
    }

    bool TryDescribeHot(Mapping mapping, int index)
    {
        var blocks = hot[index];
        var pieces = 1 + index % 6;
        while (blocks.Count < pieces)
        {
            if (!Pages.TryAllocate(index & 1, AllocationSite.Buffer, out var address))
            {
                return false;
            }

            blocks.Add(new(address, index & 1));
        }

        mapping.Hot = index;
        mapping.Direction = (DmaDirection)(index % 3);
        mapping.List = List(mapping, pieces);
        for (var i = 0; i < pieces; i++)
        {
            mapping.List[i] = new() { Address = blocks[i].Address, Length = 4096 << blocks[i].Order };
        }

        return true;
    }

    static ScatterEntry[] List(Mapping mapping, int pieces) => mapping.List.Length == pieces ? mapping.List : new ScatterEntry[pieces];

    /// <summary>Every page gets noise, so that what surrounds a buffer can be told too.</summary>
    void Fill(Mapping mapping)
    {
        mapping.Bytes = 0;
        foreach (ref readonly var entry in mapping.List.AsSpan())
        {
            var page = new Gpa(entry.Address.Value & ~0xFFFul);
            var length = entry.Length + (int)(entry.Address.Value - page.Value) + 4095 & ~4095;
            Assert.True(bed.Memory.TryWrite(page, Guard(page, length)));
            var content = Noise.AsSpan(NextNoise(), entry.Length);
            Assert.True(bed.Memory.TryWrite(entry.Address, content));
            content.CopyTo(mapping.Expected.AsSpan(mapping.Bytes));
            mapping.Bytes += entry.Length;
        }
    }

    int NextNoise() => (nextNoise += 4099) & 0xF_FFFF;

    static ReadOnlySpan<byte> Guard(Gpa page, int length) => Noise.AsSpan((int)(page.Value >> 12 & 0xFFFF), length);

    void CheckSegments(Mapping made)
    {
        var sum = 0L;
        for (var i = 0; i < made.Segments; i++)
        {
            ref readonly var segment = ref made.List[i];
            sum += segment.DmaLength;
            foreach (var other in live)
            {
                foreach (ref readonly var b in other.List.AsSpan(0, other.Segments))
                {
                    Assert.True(IsApart(segment.DmaAddress.Value, segment.DmaLength, b.DmaAddress.Value, b.DmaLength), "two mappings overlap");
                }
            }

            foreach (var (memory, _) in coherent)
            {
                Assert.True(IsApart(segment.DmaAddress.Value, segment.DmaLength, memory.DmaAddress.Value, memory.Bytes), "a mapping overlaps coherent memory");
            }
        }

        Assert.Equal(made.Bytes, sum);
    }

    static bool IsApart(ulong a, int aLength, ulong b, int bLength) => a + (ulong)aLength <= b || b + (ulong)bLength <= a;

    /// <summary>The device reads what the CPU wrote and writes what the CPU then reads; sometimes both before the mapping ends.</summary>
    void Use(Mapping mapping)
    {
        var bytes = scratch.AsSpan(0, mapping.Bytes);
        if (mapping.Direction != DmaDirection.FromDevice)
        {
            Move(mapping, bytes, write: false);
            Assert.True(bytes.SequenceEqual(mapping.Expected.AsSpan(0, mapping.Bytes)), "the device reads other bytes than the CPU wrote");
        }

        if (mapping.Direction != DmaDirection.ToDevice)
        {
            // Of a buffer that only the device writes it writes all, the first time.
            var all = mapping.Direction == DmaDirection.FromDevice && !mapping.IsWritten;
            int from = all ? 0 : random.Next(mapping.Bytes), length = all ? mapping.Bytes : random.Next(1, mapping.Bytes - from + 1);
            Noise.AsSpan(NextNoise(), length).CopyTo(mapping.Expected.AsSpan(from));
            mapping.IsWritten = true;
            mapping.Expected.AsSpan(0, mapping.Bytes).CopyTo(bytes);
            Move(mapping, bytes, write: true);
        }

        if (mapping.List.Length == 1 && random.Next(2) == 0)
        {
            Synchronise(mapping);
        }
    }

    void Synchronise(Mapping mapping)
    {
        int from = random.Next(mapping.Bytes), length = random.Next(1, mapping.Bytes - from + 1);
        var address = mapping.List[0].DmaAddress + (ulong)from;
        var memory = mapping.List[0].Address + (ulong)from;
        var part = scratch.AsSpan(0, length);
        Mapper.SyncForCpu(address, length, mapping.Direction);
        Assert.True(bed.Memory.TryRead(memory, part) && part.SequenceEqual(mapping.Expected.AsSpan(from, length)), "a synchronised part has other bytes");
        if (mapping.Direction != DmaDirection.FromDevice)
        {
            Noise.AsSpan(NextNoise(), length).CopyTo(mapping.Expected.AsSpan(from));
            Assert.True(bed.Memory.TryWrite(memory, mapping.Expected.AsSpan(from, length)));
        }

        Mapper.SyncForDevice(address, length, mapping.Direction);
    }

    void Move(Mapping mapping, Span<byte> bytes, bool write)
    {
        var at = 0;
        for (var i = 0; i < mapping.Segments; i++)
        {
            var part = bytes.Slice(at, mapping.List[i].DmaLength);
            Assert.True(write ? port.TryWrite(mapping.List[i].DmaAddress, part) : port.TryRead(mapping.List[i].DmaAddress, part), "the device does not reach a mapping");
            at += part.Length;
        }
    }

    void End(Mapping mapping)
    {
        Use(mapping);
        if (mapping.SkipsSync)
        {
            Mapper.SyncScatterListForCpu(mapping.List, mapping.Direction);
        }

        var first = mapping.List[0].DmaAddress;
        if (mapping.List.Length == 1 && random.Next(2) == 0)
        {
            Mapper.UnmapPage(first, mapping.List[0].Length, mapping.Direction, mapping.Attributes);
        }
        else
        {
            Mapper.UnmapScatterList(mapping.List, mapping.Direction, mapping.Attributes);
        }

        CheckMemory(mapping);
        CheckUnreachable(first);
        if (mapping.Hot >= 0)
        {
            hotIsMapped[mapping.Hot] = false;
        }

        Abandon(mapping);
    }

    /// <summary>Under the strict policy nothing that was mapped directly stays reachable.</summary>
    void CheckUnreachable(Iova address)
    {
        var inWindow = bypassWindow != 0 && address.Value >= bypassWindow;
        if (device.Policy == DmaPolicy.Strict && !inWindow && device.Translated!.BounceBytes == 0)
        {
            Assert.False(port.TryRead(address, out uint _) || port.TryWrite(address, 0u), "an address is reachable after unmap");
        }
    }

    void CheckMemory(Mapping mapping)
    {
        var at = 0;
        foreach (ref readonly var entry in mapping.List.AsSpan())
        {
            var page = new Gpa(entry.Address.Value & ~0xFFFul);
            var before = (int)(entry.Address.Value - page.Value);
            var length = before + entry.Length + 4095 & ~4095;
            var found = scratch.AsSpan(0, length);
            Assert.True(bed.Memory.TryRead(page, found));
            var guard = Guard(page, length);
            Assert.True(found.Slice(before, entry.Length).SequenceEqual(mapping.Expected.AsSpan(at, entry.Length)), "the CPU reads other bytes than were written");
            Assert.True(found[..before].SequenceEqual(guard[..before]) && found[(before + entry.Length)..].SequenceEqual(guard[(before + entry.Length)..]), "bytes beside a buffer changed");
            at += entry.Length;
        }
    }

    void Abandon(Mapping mapping)
    {
        Free(mapping.Blocks);
        spare.Push(mapping);
    }

    void Free(List<Block> blocks)
    {
        foreach (var block in blocks)
        {
            Pages.Free(block.Address, block.Order);
        }

        blocks.Clear();
    }

    /// <summary>Allocates or frees coherent memory.</summary>
    public void StepCoherent()
    {
        if (coherent.Count == MostCoherent || coherent.Count > 0 && random.Next(2) == 0)
        {
            FreeCoherent(random.Next(coherent.Count));
            return;
        }

        if (!Mapper.TryAllocateCoherent(random.Next(1, 5 << 12), out var memory))
        {
            return;
        }

        var bytes = scratch.AsSpan(0, memory.Bytes);
        Assert.True(port.TryRead(memory.DmaAddress, bytes) && bytes.IndexOfAnyExcept((byte)0) < 0, "coherent memory is not zero");
        var noise = NextNoise();
        Assert.True(bed.Memory.TryWrite(memory.Address, Noise.AsSpan(noise, memory.Bytes)));
        foreach (var mapping in live)
        {
            foreach (ref readonly var b in mapping.List.AsSpan(0, mapping.Segments))
            {
                Assert.True(IsApart(memory.DmaAddress.Value, memory.Bytes, b.DmaAddress.Value, b.DmaLength), "coherent memory overlaps a mapping");
            }
        }

        coherent.Add((memory, noise));
    }

    void FreeCoherent(int at)
    {
        var (memory, noise) = coherent[at];
        coherent.RemoveAt(at);
        var bytes = scratch.AsSpan(0, memory.Bytes);
        Assert.True(port.TryRead(memory.DmaAddress, bytes) && bytes.SequenceEqual(Noise.AsSpan(noise, memory.Bytes)), "coherent memory changed");
        noise = NextNoise();
        Assert.True(port.TryWrite(memory.DmaAddress, Noise.AsSpan(noise, memory.Bytes)));
        Assert.True(bed.Memory.TryRead(memory.Address, bytes) && bytes.SequenceEqual(Noise.AsSpan(noise, memory.Bytes)), "coherent memory is not what the device wrote");
        Mapper.FreeCoherent(memory);
    }

    static byte[] MakeNoise()
    {
        var noise = new byte[(1 << 20) + MostBytes + 1];
        new Random(1).NextBytes(noise);
        return noise;
    }
}
