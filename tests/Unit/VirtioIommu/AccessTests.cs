using Vmm.Platform.Dma;
using Vmm.Specs.Virtio;
using Vmm.VirtioIommu;
using Xunit;
using static Vmm.Unit.VirtioIommu.ViommuBench;
using FF = Vmm.Specs.Virtio.VirtioIommuFaultFlags;
using S = Vmm.Specs.Virtio.VirtioIommuStatus;

namespace Vmm.Unit.VirtioIommu;

/// <summary>Accesses of endpoints: bypass, reserved regions, interrupt messages and faults (virtio 1.2 §5.13.6, §5.13.6.9).</summary>
public sealed class AccessTests
{
    readonly ViommuBench bench = new();

    [Fact]
    public void An_unattached_endpoint_is_blocked_without_bypass_and_reported()
    {
        Assert.Null(bench.Translate(0x1234, DmaAccess.Write));
        Assert.Equal(new FaultReport(VirtioIommuFault.Domain, FF.Address | FF.Write, Disk.Value, 0x1234), Assert.Single(bench.Faults));
        Assert.Equal(1ul, bench.Domains.FindEndpoint(Disk.Value)!.Counters.DomainFaults);
    }

    [Fact]
    public void An_unattached_endpoint_in_bypass_uses_its_own_addresses()
    {
        bench.Translator.Bypass = true;
        Assert.Equal(0x1234ul, bench.Translate(0x1234));
        Assert.Empty(bench.Faults);
        bench.Attach(1, Disk);
        Assert.Null(bench.Translate(0x1234));
        bench.Detach(1, Disk);
        Assert.Equal(0x1234ul, bench.Translate(0x1234));
        Assert.Equal(2ul, bench.Domains.FindEndpoint(Disk.Value)!.Counters.Bypassed);
    }

    [Theory]
    [InlineData(DmaAccess.Read, FF.Read)]
    [InlineData(DmaAccess.Write, FF.Write)]
    [InlineData(DmaAccess.Atomic, FF.Read | FF.Write)]
    public void An_unmapped_access_is_reported_with_endpoint_address_and_kind(DmaAccess access, FF flags)
    {
        bench.Attach(1, Disk);
        Assert.Null(bench.Translate(0x7FFF_F123, access));
        Assert.Equal(new FaultReport(VirtioIommuFault.Mapping, FF.Address | flags, Disk.Value, 0x7FFF_F123), Assert.Single(bench.Faults));
    }

    [Fact]
    public void A_write_without_the_right_is_reported_as_a_mapping_fault()
    {
        bench.Attach(1, Disk);
        bench.Map(1, 0, 0xFFF, 0, VirtioIommuMapFlags.Read);
        Assert.Null(bench.Translate(0x10, DmaAccess.Write));
        Assert.Equal(new FaultReport(VirtioIommuFault.Mapping, FF.Address | FF.Write, Disk.Value, 0x10), Assert.Single(bench.Faults));
    }

    [Fact]
    public void Requests_with_a_PASID_or_of_ATS_are_blocked_as_unknown()
    {
        bench.Attach(1, Disk, 1);
        Assert.False(bench.Translator.TryTranslate(new(Disk, new(0), DmaAccess.Read, 5, true), out _));
        Assert.False(bench.Translator.TryTranslate(new(Disk, new(0), DmaAccess.Read | DmaAccess.Translated), out _));
        Assert.False(bench.Translator.TryTranslate(new(Disk, new(0), DmaAccess.Read | DmaAccess.Translation), out _));
        Assert.Equal(3, bench.Faults.Count(f => f.Reason == VirtioIommuFault.Unknown && f.Endpoint == Disk.Value));
    }

    [Fact]
    public void A_function_that_is_no_endpoint_is_blocked_and_not_reported()
    {
        bench.Translator.Bypass = true;
        Assert.Null(bench.Translate(0, device: new(5, 0, 0)));
        Assert.False(bench.Translator.TryRemap(new(5, 0, 0), new(0xFEE0_0000, 0x30), out _));
        Assert.Equal(2ul, bench.Translator.Strangers);
        Assert.Empty(bench.Faults);
    }

    [Fact]
    public void A_reserved_region_is_closed_even_in_bypass()
    {
        var reserved = new ViommuBench(new() { Reserved = [new(0xA0000, 0xBFFFF, VirtioIommuReservedKind.Reserved)] });
        Assert.True(reserved.Translator.TryTranslate(new(Disk, new(0x9F000), DmaAccess.Read), out var window));
        Assert.Equal(0x1000ul, window.Length);
        Assert.Null(reserved.Translate(0xA0000));
        Assert.Null(reserved.Translate(0xBFFFF));
        Assert.Equal(0xC0000ul, reserved.Translate(0xC0000));
        Assert.Equal([VirtioIommuFault.Mapping, VirtioIommuFault.Mapping], reserved.Faults.Select(f => f.Reason));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_interrupt_message_passes_the_MSI_region_unchanged(bool attached)
    {
        if (attached)
        {
            bench.Attach(1, Disk);
        }

        Assert.True(bench.Translator.TryRemap(Disk, new(0xFEE0_1000, 0x41), out var message));
        Assert.Equal(new(0xFEE0_1000, 0x41), message);
        Assert.Equal(1ul, bench.Domains.FindEndpoint(Disk.Value)!.Counters.Interrupts);
    }

    [Fact]
    public void Without_an_MSI_region_the_doorbell_has_to_be_mapped()
    {
        var mapped = new ViommuBench(new() { Bypass = false, Reserved = [] });
        mapped.Attach(1, Disk);
        Assert.False(mapped.Translator.TryRemap(Disk, new(0xFEE0_1000, 0x41), out _));
        Assert.Equal(new FaultReport(VirtioIommuFault.Mapping, FF.Address | FF.Write, Disk.Value, 0xFEE0_1000), Assert.Single(mapped.Faults));
        Assert.Equal(S.Ok, mapped.Map(1, 0xFEE0_1000, 0xFEE0_1FFF, 0xFEE0_3000, VirtioIommuMapFlags.Write | VirtioIommuMapFlags.Mmio));
        Assert.True(mapped.Translator.TryRemap(Disk, new(0xFEE0_1004, 0x41), out var message));
        Assert.Equal(new(0xFEE0_3004, 0x41), message);
    }

    [Fact]
    public void Translations_allocate_nothing()
    {
        bench.Attach(1, Disk);
        for (ulong i = 0; i < 5000; i++)
        {
            bench.Map(1, i << 13, (i << 13) + 0xFFF, i << 12);
        }

        Assert.NotNull(bench.Translate(0));
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (ulong i = 0; i < 5000; i++)
        {
            bench.Translator.TryTranslate(new(Disk, new(i << 13), DmaAccess.Write), out _);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }
}
