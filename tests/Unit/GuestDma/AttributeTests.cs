using Vmm.Beds;
using Vmm.GuestDma;
using Vmm.GuestDma.Guest;
using Vmm.Iommu;
using Vmm.Platform.Memory;
using Vmm.VirtioIommu;
using Xunit;

namespace Vmm.Unit.GuestDma;

/// <summary>What the attributes of a mapping change, under every policy and unit.</summary>
public sealed class AttributeTests
{
    const ulong Window = 1ul << 38;

    const int Memory = 64 << 20;

    public static TheoryData<DmaPolicy, string> Translating => LayerCases.Translating;

    static DmaBed Bed(DmaPolicy policy, string iommu, DmaDeviceOptions? device = null) => new(new()
    {
        Policy = policy, MemoryBytes = Memory, HasDisk = false, WatchesSync = true, Device = device ?? new() { BypassWindow = Window },
        Vtd = iommu == "vtd" ? new VtdOptions { AddressWidth = 48, Profile = VtdProfile.Strict } : null, Viommu = iommu == "viommu" ? new VirtioIommuOptions() : null,
    });

    static Gpa Page(DmaBed bed, uint content = 0)
    {
        Assert.True(bed.Machine.Pages.TryAllocate(0, AllocationSite.Buffer, out var page));
        Assert.True(bed.Memory.TryWrite(page, content));
        return page;
    }

    [Theory]
    [MemberData(nameof(Translating))]
    public void A_persistent_mapping_is_the_buffer_itself_under_every_policy(DmaPolicy policy, string iommu)
    {
        using var bed = Bed(policy, iommu);
        var mapper = bed.Machine.Device.Mapper;
        var list = new ScatterEntry[3];
        for (var i = 0; i < list.Length; i++)
        {
            list[i] = new() { Address = Page(bed), Length = 4096 };
        }

        var partial = Page(bed) + 512;
        var address = mapper.MapPage(partial, 1024, DmaDirection.Bidirectional, DmaAttributes.PersistentStreaming);
        var segments = mapper.MapScatterList(list, DmaDirection.Bidirectional, DmaAttributes.PersistentStreaming);
        Assert.Equal((0ul, 0), (bed.Machine.Device.Translated!.BounceBytes, bed.Machine.Device.Translated.AdoptedCount));
        for (var round = 1u; round <= 20; round++)
        {
            // Both sides see each other's writes without any synchronisation, for as long as the mapping lasts.
            Assert.True(bed.Memory.TryWrite(partial, round));
            Assert.True(bed.Port.TryRead(address, out uint found) && found == round);
            Assert.True(bed.Port.TryWrite(address + 4, round));
            Assert.True(bed.Memory.TryRead(partial + 4, out found) && found == round);
            Assert.True(bed.Port.TryWrite(list[0].DmaAddress, round));
            Assert.True(bed.Memory.TryRead(list[0].Address, out found) && found == round);
        }

        Assert.InRange(segments, 1, 3);
        mapper.UnmapPage(address, 1024, DmaDirection.Bidirectional, DmaAttributes.PersistentStreaming);
        mapper.UnmapScatterList(list, DmaDirection.Bidirectional, DmaAttributes.PersistentStreaming);
        Flush(bed);
        Assert.False(bed.Port.TryRead(address, out uint _));
        Assert.False(bed.Port.TryRead(list[0].DmaAddress, out uint _));
    }

    [Theory]
    [MemberData(nameof(Translating))]
    public void A_persistent_mapping_that_comes_back_is_never_adopted(DmaPolicy policy, string iommu)
    {
        using var bed = Bed(policy, iommu);
        var mapper = bed.Machine.Device.Mapper;
        var page = Page(bed);
        for (var i = 0; i < 20; i++)
        {
            var address = mapper.MapPage(page, 4096, DmaDirection.FromDevice, DmaAttributes.PersistentStreaming);
            Assert.True(bed.Port.TryWrite(address, 1u));
            mapper.UnmapPage(address, 4096, DmaDirection.FromDevice, DmaAttributes.PersistentStreaming);
        }

        Assert.Equal((0ul, 0), (bed.Machine.Device.Translated!.BounceBytes, bed.Machine.Device.Translated.AdoptedCount));
    }

    [Theory]
    [MemberData(nameof(Translating))]
    public void What_shares_a_page_with_a_persistent_buffer_of_an_untrusted_device_stays_out_of_reach(DmaPolicy policy, string iommu)
    {
        using var bed = Bed(policy, iommu, new() { Untrusted = true });
        var mapper = bed.Machine.Device.Mapper;
        var page = Page(bed, 0x5EC2E7);
        var address = mapper.MapPage(page + 512, 256, DmaDirection.Bidirectional, DmaAttributes.PersistentStreaming);
        Assert.True(bed.Port.TryRead(new Iova(address.Value & ~0xFFFul), out uint found) && found == 0);
        mapper.UnmapPage(address, 256, DmaDirection.Bidirectional, DmaAttributes.PersistentStreaming);
        Assert.True(bed.Memory.TryRead(page, out found) && found == 0x5EC2E7);
    }

    [Theory]
    [MemberData(nameof(Translating))]
    public void A_bypassing_mapping_is_the_guest_physical_address_in_a_window_and_takes_nothing_to_map_again(DmaPolicy policy, string iommu)
    {
        using var bed = Bed(policy, iommu);
        var mapper = bed.Machine.Device.Mapper;
        Gpa page = Page(bed, 7), other = Page(bed, 8);
        Assert.False(bed.Port.TryRead(new Iova(Window + other.Value), out uint _));
        var address = mapper.MapPage(page + 4, 12, DmaDirection.FromDevice, DmaAttributes.BypassIommu);
        Assert.Equal(Window + page.Value + 4, address.Value);

        // From the first one on the device reaches all RAM there, and only there.
        Assert.True(bed.Port.TryRead(new Iova(Window + other.Value), out uint found) && found == 8);
        Assert.False(bed.Port.TryRead(new Iova(Window + Memory), out uint _));
        Assert.False(bed.Port.TryRead(new Iova(other.Value), out uint _));
        var (start, invalidations) = (bed.Clock.Now, bed.Machine.Iommu!.Invalidations);
        mapper.UnmapPage(address, 12, DmaDirection.FromDevice, DmaAttributes.BypassIommu);
        var list = new ScatterEntry[] { new() { Address = page, Length = 4096 }, new() { Address = other, Length = 100 } };
        Assert.Equal(2, mapper.MapScatterList(list, DmaDirection.Bidirectional, DmaAttributes.BypassIommu));
        Assert.Equal([Window + page.Value, Window + other.Value], list.Select(static e => e.DmaAddress.Value));
        mapper.UnmapScatterList(list, DmaDirection.Bidirectional, DmaAttributes.BypassIommu);
        Assert.Equal((start, invalidations, 0), (bed.Clock.Now, bed.Machine.Iommu.Invalidations, bed.Machine.Device.Translated!.Live));
        bed.Machine.Device.Translated.Close();
        Assert.False(bed.Port.TryRead(new Iova(Window + other.Value), out uint _));
    }

    [Theory]
    [InlineData("vtd")]
    [InlineData("viommu")]
    public void Other_mappings_go_on_as_before_beside_a_bypassing_one(string iommu)
    {
        using var bed = Bed(DmaPolicy.Strict, iommu);
        var mapper = bed.Machine.Device.Mapper;
        var page = Page(bed);
        var bypass = mapper.MapPage(page, 4096, DmaDirection.ToDevice, DmaAttributes.BypassIommu);
        var normal = mapper.MapPage(page, 4096, DmaDirection.ToDevice);
        Assert.True(normal.Value < Window && bed.Port.TryRead(normal, out uint _) && !bed.Port.TryWrite(normal, 1u));
        mapper.UnmapPage(normal, 4096, DmaDirection.ToDevice);
        Assert.False(bed.Port.TryRead(normal, out uint _));
        mapper.UnmapPage(bypass, 4096, DmaDirection.ToDevice, DmaAttributes.BypassIommu);
        Assert.Equal(0, bed.Machine.Device.Translated!.Live);
    }

    [Theory]
    [InlineData(0ul, ulong.MaxValue)]
    [InlineData(Window, (1ul << 32) - 1)]
    [InlineData(1ul << 60, ulong.MaxValue)]
    public void Without_a_window_that_the_device_reaches_the_attribute_changes_nothing(ulong window, ulong mask)
    {
        using var bed = Bed(DmaPolicy.Strict, "vtd", new() { BypassWindow = window, Mask = mask });
        var mapper = bed.Machine.Device.Mapper;
        var page = Page(bed);
        var address = mapper.MapPage(page, 4096, DmaDirection.Bidirectional, DmaAttributes.BypassIommu);
        Assert.True(address.Value <= mask && bed.Port.TryWrite(address, 1u));
        mapper.UnmapPage(address, 4096, DmaDirection.Bidirectional, DmaAttributes.BypassIommu);
        Assert.False(bed.Port.TryRead(address, out uint _));
    }

    [Theory]
    [InlineData("vtd")]
    [InlineData("viommu")]
    public void A_window_that_cannot_be_mapped_now_is_mapped_later(string iommu)
    {
        using var bed = Bed(DmaPolicy.Strict, iommu);
        var mapper = bed.Machine.Device.Mapper;
        var page = Page(bed);
        bed.Machine.Faults.FailAt = bed.Machine.Faults.Attempts + 1;
        var address = mapper.MapPage(page, 4096, DmaDirection.Bidirectional, DmaAttributes.BypassIommu);
        Assert.True(address != IDmaMapper.MappingError && address.Value < Window);
        mapper.UnmapPage(address, 4096, DmaDirection.Bidirectional, DmaAttributes.BypassIommu);
        address = mapper.MapPage(page, 4096, DmaDirection.Bidirectional, DmaAttributes.BypassIommu);
        Assert.Equal(Window + page.Value, address.Value);
        mapper.UnmapPage(address, 4096, DmaDirection.Bidirectional, DmaAttributes.BypassIommu);
    }

    [Fact]
    public void No_other_mapping_gets_an_address_of_the_window()
    {
        // The window takes the top of 33 address bits; large mappings fill all the rest.
        const ulong top = (1ul << 33) - 1, window = top + 1 - Memory;
        using var bed = Bed(DmaPolicy.Strict, "viommu", new() { BypassWindow = window, Mask = top });
        var iovas = bed.Machine.Device.Iovas!;
        var count = 0;
        while (iovas.TryAllocate(1 << 12, top >> 12, out var first))
        {
            Assert.True(first + (1 << 12) <= window >> 12, "an address of the window");
            count++;
        }

        Assert.InRange(count, 400, 512);
    }

    [Fact]
    public void Privileged_mappings_have_slots_of_their_own()
    {
        using var bed = Bed(DmaPolicy.Pool, "vtd");
        var mapper = bed.Machine.Device.Mapper;
        var page = Page(bed);
        var normal = new HashSet<ulong>();
        var privileged = new HashSet<ulong>();
        for (var i = 0; i < 40; i++)
        {
            var attributes = i % 2 == 0 ? DmaAttributes.None : DmaAttributes.Privileged;
            var address = mapper.MapPage(page + 4, 100, DmaDirection.ToDevice, attributes);
            (i % 2 == 0 ? normal : privileged).Add(address.Value);
            mapper.UnmapPage(address, 100, DmaDirection.ToDevice, attributes);
        }

        Assert.Empty(normal.Intersect(privileged));
    }

    static void Flush(DmaBed bed)
    {
        bed.Clock.Charge(bed.Clock.Hertz / 50);
        bed.Machine.Poll();
    }
}
