using Vmm.Platform.Dma;
using Vmm.Specs.Virtio;
using Xunit;
using static Vmm.Unit.VirtioIommu.ViommuBench;
using S = Vmm.Specs.Virtio.VirtioIommuStatus;

namespace Vmm.Unit.VirtioIommu;

/// <summary>ATTACH and DETACH (virtio 1.2 §5.13.6.3, §5.13.6.4).</summary>
public sealed class AttachDetachTests
{
    readonly ViommuBench bench = new();

    [Fact]
    public void Attach_creates_the_domain_and_gives_access_to_its_mappings()
    {
        Assert.Equal(S.NoEnt, bench.Map(1, 0x1000, 0x1FFF));
        Assert.Equal(S.Ok, bench.Attach(1, Disk));
        Assert.Equal(S.Ok, bench.Map(1, 0x1000, 0x1FFF, 0xA000));
        Assert.Equal(0xA123ul, bench.Translate(0x1123));
    }

    [Fact]
    public void Attach_with_reserved_bytes_set_is_INVAL()
    {
        Assert.Equal(S.Inval, bench.Send(AttachBytes(1, Disk.Value, reserved: 0x0100_0000)));
        Assert.Null(bench.Domains.FindDomain(1));
    }

    [Theory]
    [InlineData(2u)]
    [InlineData(0x8000_0000u)]
    [InlineData(3u)]
    public void Attach_with_an_unknown_flag_is_INVAL(uint flags) => Assert.Equal(S.Inval, bench.Attach(1, Disk, flags));

    [Fact]
    public void The_bypass_flag_is_unknown_until_BYPASS_CONFIG_is_negotiated()
    {
        var plain = new ViommuBench(negotiated: VirtioIommuFeatures.MapUnmap);
        Assert.Equal(S.Inval, plain.Attach(1, Disk, 1));
        Assert.Equal(S.Ok, bench.Attach(1, Disk, 1));
    }

    [Theory]
    [InlineData(0x19u)]
    [InlineData(0x1_0000u)]
    [InlineData(0xFFFF_FFFFu)]
    public void Attach_of_an_unknown_endpoint_is_NOENT(uint endpoint)
    {
        Assert.Equal(S.NoEnt, bench.Send(AttachBytes(1, endpoint)));
        Assert.Empty(bench.Domains.Domains);
    }

    [Fact]
    public void Several_endpoints_share_a_domain()
    {
        bench.Attach(1, Disk);
        bench.Map(1, 0, 0xFFF, 0x5000);
        Assert.Equal(S.Ok, bench.Attach(1, Nic));
        Assert.Equal(0x5000ul, bench.Translate(0, device: Nic));
        Assert.Equal(0x5000ul, bench.Translate(0, device: Disk));
    }

    [Fact]
    public void Endpoints_of_different_domains_are_isolated()
    {
        bench.Attach(1, Disk);
        bench.Attach(2, Nic);
        bench.Map(1, 0, 0xFFF, 0x5000);
        Assert.Null(bench.Translate(0, device: Nic));
        Assert.Equal(0x5000ul, bench.Translate(0));
    }

    [Theory]
    [InlineData(0u, 1u)]
    [InlineData(1u, 0u)]
    public void A_bypass_flag_that_does_not_fit_the_domain_is_INVAL_and_changes_nothing(uint first, uint second)
    {
        bench.Attach(7, Nic);
        bench.Attach(1, Disk, first);
        Assert.Equal(S.Inval, bench.Attach(1, Nic, second));
        Assert.Equal(7u, bench.Domains.FindEndpoint(Nic.Value)!.Domain!.Id);
        Assert.Equal(S.Inval, bench.Attach(1, Disk, second));
        Assert.Equal(1u, bench.Domains.FindEndpoint(Disk.Value)!.Domain!.Id);
    }

    [Fact]
    public void Attach_to_another_domain_detaches_first()
    {
        bench.Attach(1, Disk);
        bench.Map(1, 0, 0xFFF, 0x5000);
        Assert.Equal(0x5000ul, bench.Translate(0));
        Assert.Equal(S.Ok, bench.Attach(2, Disk));
        Assert.Null(bench.Translate(0));
        Assert.Null(bench.Domains.FindDomain(1));
        Assert.Equal(0, bench.Domains.Pool.Count);
    }

    [Fact]
    public void Attach_to_its_own_domain_again_changes_nothing()
    {
        bench.Attach(1, Disk);
        bench.Map(1, 0, 0xFFF, 0x5000);
        Assert.Equal(S.Ok, bench.Attach(1, Disk));
        Assert.Equal(1, bench.Domains.FindDomain(1)!.Endpoints);
        Assert.Equal(0x5000ul, bench.Translate(0));
    }

    [Fact]
    public void A_domain_outside_domain_range_is_RANGE()
    {
        var small = new ViommuBench(new() { DomainStart = 2, DomainEnd = 3 });
        Assert.Equal([S.Range, S.Ok, S.Ok, S.Range], new uint[] { 1, 2, 3, 4 }.Select(d => small.Attach(d, Disk)!.Value));
    }

    [Fact]
    public void One_domain_more_than_the_limit_is_NOMEM_unless_the_move_frees_one()
    {
        var small = new ViommuBench(new() { MaxDomains = 2 });
        Assert.Equal(S.Ok, small.Attach(1, Disk));
        Assert.Equal(S.Ok, small.Attach(2, Nic));
        Assert.Equal(S.NoMem, small.Attach(3, Other));
        Assert.Null(small.Domains.FindEndpoint(Other.Value)!.Domain);
        Assert.Equal(S.Ok, small.Attach(3, Nic));
        Assert.Equal(S.Ok, small.Attach(3, Other));
        Assert.Equal(S.NoMem, small.Attach(4, Other));
        Assert.Equal(3u, small.Domains.FindEndpoint(Other.Value)!.Domain!.Id);
    }

    [Fact]
    public void Detach_ends_access_and_the_last_one_ends_the_domain()
    {
        bench.Attach(1, Disk);
        bench.Attach(1, Nic);
        bench.Map(1, 0, 0xFFF, 0x5000);
        Assert.Equal(0x5000ul, bench.Translate(0));
        var generation = bench.Domains.Generation;
        Assert.Equal(S.Ok, bench.Detach(1, Disk));
        Assert.NotEqual(generation, bench.Domains.Generation);
        Assert.Null(bench.Translate(0));
        Assert.Equal(0x5000ul, bench.Translate(0, device: Nic));
        Assert.Equal(S.Ok, bench.Detach(1, Nic));
        Assert.Equal(S.NoEnt, bench.Unmap(1, 0, 0xFFF));
        bench.Attach(1, Disk);
        Assert.Null(bench.Translate(0));
    }

    [Fact]
    public void Detach_ignores_its_reserved_bytes()
    {
        bench.Attach(1, Disk);
        Assert.Equal(S.Ok, bench.Send(DetachBytes(1, Disk.Value, ulong.MaxValue)));
    }

    [Fact]
    public void Detach_of_an_unknown_endpoint_is_NOENT() => Assert.Equal(S.NoEnt, bench.Send(DetachBytes(1, 0x19)));

    [Fact]
    public void Detach_from_a_domain_that_it_is_not_in_is_INVAL()
    {
        bench.Attach(1, Disk);
        bench.Attach(2, Nic);
        Assert.Equal(S.Inval, bench.Detach(2, Disk));
        Assert.Equal(S.Inval, bench.Detach(9, Disk));
        Assert.Equal(S.Inval, bench.Detach(1, Other));
        Assert.Equal(1u, bench.Domains.FindEndpoint(Disk.Value)!.Domain!.Id);
    }

    [Fact]
    public void Reserved_bytes_of_the_head_are_ignored()
    {
        var request = AttachBytes(1, Disk.Value);
        request.AsSpan(1, 3).Fill(0xFF);
        Assert.Equal(S.Ok, bench.Send(request));
    }

    [Fact]
    public void A_device_reset_detaches_everything()
    {
        bench.Attach(1, Disk);
        bench.Map(1, 0, 0xFFF);
        bench.Domains.Reset();
        Assert.Empty(bench.Domains.Domains);
        Assert.Equal(0, bench.Domains.Pool.Count);
        Assert.Null(bench.Translate(0));
        Assert.Equal(VirtioIommuFault.Domain, bench.Faults[^1].Reason);
    }

    [Fact]
    public void A_driver_that_goes_through_all_domain_ids_gets_a_bounded_number_of_counters()
    {
        for (uint i = 0; i < 100_000; i++)
        {
            Assert.Equal(S.Ok, bench.Attach(i * 42949, Disk));
            Assert.Single(bench.Domains.Domains);
        }

        Assert.Equal(1024, bench.Domains.DomainCounters.Count());
    }
}
