using Vmm.GuestDma;
using Vmm.Platform.Memory;
using Xunit;

namespace Vmm.Unit.GuestDma;

/// <content>What both sides do with a mapping, and what must be true of it.</content>
sealed partial class LayerModel
{
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
}
