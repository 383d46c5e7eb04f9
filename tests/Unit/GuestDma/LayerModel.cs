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
sealed partial class LayerModel
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

    static byte[] MakeNoise()
    {
        var noise = new byte[(1 << 20) + MostBytes + 1];
        new Random(1).NextBytes(noise);
        return noise;
    }
}
