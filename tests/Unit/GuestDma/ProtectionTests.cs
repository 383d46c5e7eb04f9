using Vmm.Beds;
using Vmm.GuestDma;
using Vmm.GuestDma.Guest;
using Vmm.Iommu;
using Vmm.Platform.Memory;
using Vmm.VirtioIommu;
using Xunit;

namespace Vmm.Unit.GuestDma;

/// <summary>
/// A malicious device tries addresses before, during and after mappings. What it reaches is compared with what the policy
/// promises, page by page and byte by byte; the guest's secrets are told by their content.
/// </summary>
public sealed class ProtectionTests
{
    const uint Secret = 0x5EC2_E700, Public = 0x0B5E_55ED, Forged = 0x0BAD_0BAD;

    public static TheoryData<DmaPolicy, string> Translating => LayerCases.Translating;

    static DmaBed Bed(DmaPolicy policy, string iommu, bool untrusted = false) => new(new()
    {
        Policy = policy, MemoryBytes = 64 << 20, HasDisk = false, Device = new() { Untrusted = untrusted },
        Vtd = iommu == "vtd" ? new VtdOptions { AddressWidth = 48 } : null, Viommu = iommu == "viommu" ? new VirtioIommuOptions() : null,
    });

    static Gpa Page(DmaBed bed, uint content)
    {
        Assert.True(bed.Machine.Pages.TryAllocate(0, AllocationSite.Buffer, out var page));
        Fill(bed, page, 4096, content);
        return page;
    }

    static void Fill(DmaBed bed, Gpa at, int bytes, uint content)
    {
        for (var i = 0; i < bytes; i += 4)
        {
            bed.Memory.TryWrite(at + (ulong)i, content);
        }
    }

    static bool Reads(DmaBed bed, ulong address, out uint found) => bed.Port.TryRead(new Iova(address), out found);

    static bool Writes(DmaBed bed, ulong address) => bed.Port.TryWrite(new Iova(address), Forged);

    [Theory]
    [MemberData(nameof(Translating))]
    public void Nothing_is_reached_that_was_never_mapped(DmaPolicy policy, string iommu)
    {
        using var bed = Bed(policy, iommu);
        var secret = Page(bed, Secret);
        var page = Page(bed, Public);
        var address = bed.Machine.Device.Mapper.MapPage(page, 4096, DmaDirection.ToDevice);
        var random = new Random(7);
        Assert.False(Reads(bed, secret.Value, out _));
        for (var i = 0; i < 2000; i++)
        {
            // Around the mapping, at guest-physical addresses, anywhere.
            var at = (i % 3) switch
            {
                0 => address.Value + (ulong)random.Next(-1 << 20, 1 << 20) * 4,
                1 => (ulong)random.Next(1 << 14) * 4096,
                _ => (ulong)random.NextInt64(1L << 39) & ~3ul,
            };
            Assert.True(!Reads(bed, at, out var found) || found is Public or 0, $"{found:x} at {at:x}");
            Assert.False(Writes(bed, at));
        }

        Assert.True(bed.Memory.TryRead(secret, out uint kept) && kept == Secret);
    }

    [Theory]
    [MemberData(nameof(Translating))]
    public void A_read_only_mapping_cannot_be_written_and_a_write_only_one_not_read(DmaPolicy policy, string iommu)
    {
        using var bed = Bed(policy, iommu);
        var mapper = bed.Machine.Device.Mapper;
        var page = Page(bed, Public);
        var address = mapper.MapPage(page, 4096, DmaDirection.ToDevice);
        Assert.True(Reads(bed, address.Value, out var found) && found == Public);
        Assert.False(Writes(bed, address.Value));
        mapper.UnmapPage(address, 4096, DmaDirection.ToDevice);
        address = mapper.MapPage(page, 4096, DmaDirection.FromDevice);
        Assert.False(Reads(bed, address.Value, out _));
        Assert.True(Writes(bed, address.Value));
        mapper.UnmapPage(address, 4096, DmaDirection.FromDevice);
        Assert.True(bed.Memory.TryRead(page, out found) && found == Forged);
    }

    /// <summary>After unmap the page is freed and somebody else's secret is put there: who can read it?</summary>
    [Theory]
    [MemberData(nameof(Translating))]
    public void Only_lazy_policies_have_a_window_onto_a_page_that_is_used_anew(DmaPolicy policy, string iommu)
    {
        using var bed = Bed(policy, iommu);
        var mapper = bed.Machine.Device.Mapper;
        var pages = bed.Machine.Pages;
        var page = Page(bed, Public);
        var address = mapper.MapPage(page, 4096, DmaDirection.Bidirectional);
        Assert.True(Reads(bed, address.Value, out _));
        mapper.UnmapPage(address, 4096, DmaDirection.Bidirectional);
        pages.Free(page, 0);
        var secrets = new List<Gpa>();
        while (secrets.Count < 64 && pages.TryAllocate(0, AllocationSite.Buffer, out var next))
        {
            Fill(bed, next, 4096, Secret);
            secrets.Add(next);
        }

        var leaks = Reads(bed, address.Value, out var found) && found == Secret;
        var corrupts = Writes(bed, address.Value) && secrets.Any(s => bed.Memory.TryRead(s, out uint now) && now != Secret);
        var promised = policy is DmaPolicy.Lazy or DmaPolicy.Batched;
        Assert.Equal((promised, promised), (leaks, corrupts));

        // The window closes with the time-out of the queue.
        bed.Clock.Charge(bed.Clock.Hertz / 50);
        bed.Machine.Poll();
        Assert.True(policy is DmaPolicy.Pool or DmaPolicy.Adaptive || !Reads(bed, address.Value, out _));
        Assert.True(!Reads(bed, address.Value, out found) || found != Secret);
    }

    [Theory]
    [InlineData("vtd")]
    [InlineData("viommu")]
    public void A_page_of_the_referenced_policy_waits_for_the_flush_before_it_is_free(string iommu)
    {
        using var bed = Bed(DmaPolicy.Referenced, iommu);
        var mapper = bed.Machine.Device.Mapper;
        var page = Page(bed, Public);
        var address = mapper.MapPage(page, 4096, DmaDirection.Bidirectional);
        Assert.True(Reads(bed, address.Value, out _));
        mapper.UnmapPage(address, 4096, DmaDirection.Bidirectional);
        bed.Machine.Pages.Free(page, 0);
        Assert.False(bed.Machine.Pages.IsFree(page));
        Assert.Equal(1, bed.Machine.Pages.ParkedPages);
        Assert.True(Reads(bed, address.Value, out _));
        bed.Machine.Device.Translated!.Translations.Queue.Flush();
        Assert.True(bed.Machine.Pages.IsFree(page));
        Assert.False(Reads(bed, address.Value, out _));
    }

    [Theory]
    [InlineData(DmaPolicy.Pool)]
    [InlineData(DmaPolicy.Adaptive)]
    public void A_bounce_slot_shows_nothing_of_an_earlier_mapping(DmaPolicy policy)
    {
        using var bed = Bed(policy, "vtd");
        var mapper = bed.Machine.Device.Mapper;
        var random = new Random(3);
        var page = Page(bed, Secret);
        for (var round = 0; round < 300; round++)
        {
            var direction = round % 3 == 0 ? DmaDirection.Bidirectional : DmaDirection.ToDevice;
            int offset = random.Next(0, 1000) * 4, length = random.Next(1, (4096 - offset) / 4 + 1) * 4;
            // Every mapping has a content of its own, and the slot may hold that or nothing.
            var content = 0x1000_0000u + (uint)round;
            Fill(bed, page + (ulong)offset, length, content);
            var address = mapper.MapPage(page + (ulong)offset, length, direction);
            if (bed.Machine.Device.Translated!.BounceBytes == 0)
            {
                mapper.UnmapPage(address, length, direction);
                continue;
            }

            var start = address.Value & ~0xFFFul;
            for (var at = 0; at < 4096; at += 4)
            {
                Assert.True(Reads(bed, start + (ulong)at, out var found));
                var inside = at >= offset && at < offset + length;
                Assert.True(inside ? found == content : found == 0 || policy == DmaPolicy.Adaptive && IsDirect(bed, page, start), $"round {round}, {at:x}: {found:x}");
            }

            mapper.UnmapPage(address, length, direction);
            Fill(bed, page, 4096, Secret);
        }
    }

    /// <summary>The adaptive policy also maps directly, as the strict one does: then the rest of the page is seen while the mapping lasts.</summary>
    static bool IsDirect(DmaBed bed, Gpa page, ulong address)
    {
        bed.Memory.TryRead(page + 4092, out uint before);
        bed.Memory.TryWrite(page + 4092, 0x7777_7777u);
        var direct = Reads(bed, address + 4092, out var seen) && seen == 0x7777_7777u;
        bed.Memory.TryWrite(page + 4092, before);
        return direct;
    }

    [Theory]
    [MemberData(nameof(Translating))]
    public void What_shares_a_page_with_a_buffer_of_an_untrusted_device_is_out_of_reach(DmaPolicy policy, string iommu)
    {
        using var bed = Bed(policy, iommu, untrusted: true);
        var mapper = bed.Machine.Device.Mapper;
        var page = Page(bed, Secret);
        Fill(bed, page + 512, 256, Public);
        for (var round = 0; round < 40; round++)
        {
            var address = mapper.MapPage(page + 512, 256, DmaDirection.Bidirectional);
            for (var at = 0; at < 4096; at += 4)
            {
                var inside = at is >= 512 and < 768;
                Assert.True(Reads(bed, (address.Value & ~0xFFFul) + (ulong)at, out var found));
                Assert.Equal(inside ? Public : 0, found);
                Assert.True(inside || Writes(bed, (address.Value & ~0xFFFul) + (ulong)at));
                Assert.True(inside || bed.Port.TryWrite(new Iova((address.Value & ~0xFFFul) + (ulong)at), 0u));
            }

            mapper.UnmapPage(address, 256, DmaDirection.Bidirectional);
            Assert.True(bed.Memory.TryRead(page, out uint kept) && kept == Secret);
            Assert.True(bed.Memory.TryRead(page + 768, out kept) && kept == Secret);
        }
    }

    [Fact]
    public void Off_and_bypass_reach_everything_and_identity_reaches_ram_only()
    {
        foreach (var policy in new[] { DmaPolicy.Off, DmaPolicy.Bypass, DmaPolicy.Identity })
        {
            using var bed = Bed(policy, policy == DmaPolicy.Off ? "none" : "vtd");
            Assert.True(Reads(bed, Page(bed, Secret).Value, out var found) && found == Secret);
            Assert.False(Reads(bed, 1ul << 38, out _));
        }
    }
}
