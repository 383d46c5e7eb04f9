using Google.Rpc;
using Vmm.Api.V1;
using Xunit;

namespace Vmm.ControlTests.Machines;

/// <summary>What IommuService tells of a unit that a real driver programmed, and what it answers where it cannot.</summary>
public sealed class IommuServiceTests(ControlFixture control) : ControlCaller(control)
{
    const string Disk = "00:03.0";

    Task<TResponse> Iommu<TRequest, TResponse>(string method, TRequest request)
        where TRequest : class, Google.Protobuf.IMessage<TRequest>
        where TResponse : class, Google.Protobuf.IMessage<TResponse>, new() => Call<TRequest, TResponse>(IommuReflection.Descriptor, method, request);

    Task<TranslateResponse> Translate(string machine, ulong iova, bool write = false) =>
        Iommu<TranslateRequest, TranslateResponse>("Translate", new() { Machine = machine, Bdf = Disk, Iova = iova, Write = write });

    async Task<List<IommuMapping>> Dump(string machine, ulong limit = 0, uint? pasid = null)
    {
        var found = new List<IommuMapping>();
        for (ulong? from = 0; from != null;)
        {
            var request = new DumpTablesRequest { Machine = machine, Bdf = Disk, FromIova = from.Value, Limit = limit };
            if (pasid is { } id)
            {
                request.Pasid = id;
            }

            from = null;
            await using var dump = Channel.ServerStreaming<DumpTablesRequest, DumpTablesResponse>(IommuReflection.Descriptor.Services[0].FindMethodByName("DumpTables"), request);
            while (await dump.MoveNext(CancellationToken.None))
            {
                found.AddRange(dump.Current.Mappings);
                from = dump.Current.HasNextIova ? dump.Current.NextIova : null;
            }
        }

        return found;
    }

    [SkippableTheory]
    [InlineData("vtd")]
    [InlineData("virtio")]
    public async Task A_unit_that_Linux_programmed_shows_what_it_does(string model)
    {
        await Create(model, new()
        {
            MemoryBytes = 256 << 20, Disks = { new DiskSpec { SizeBytes = 1 << 20 } }, Iommu = new() { Model = model },
            Boot = new()
            {
                Kernel = Control.Images.Kernel, Initrds = { model == "vtd" ? Control.Images.Initrd : Control.Images.VirtioIommuInitrd },
                CommandLine = "console=ttyS0 cryptomgr.notests iommu.strict=1",
            },
        });
        await Expect(model, "READY");

        var domain = Assert.Single((await Iommu<ListDomainsRequest, ListDomainsResponse>("ListDomains", new() { Machine = model })).Domains, d => d.Devices.Contains(Disk));
        var page = await Iommu<ListDomainsRequest, ListDomainsResponse>("ListDomains", new() { Machine = model, PageSize = 1 });
        Assert.Single(page.Domains);
        if (page.NextPageToken.Length != 0)
        {
            Assert.True((await Iommu<ListDomainsRequest, ListDomainsResponse>("ListDomains", new() { Machine = model, PageToken = page.NextPageToken })).Domains[0].Id > page.Domains[0].Id);
        }

        var mappings = await Dump(model);
        Assert.Equal(mappings.Sum(m => (decimal)m.Length), (await Dump(model, limit: 3)).Sum(m => (decimal)m.Length));
        Assert.Equal(mappings.OrderBy(m => m.Iova), mappings);
        foreach (var mapping in new[] { mappings[0], mappings[^1] })
        {
            var last = await Translate(model, mapping.Iova + mapping.Length - 1, !mapping.Readable);
            Assert.Equal((false, mapping.Address + mapping.Length - 1, mapping.Readable, mapping.Writable), (last.Blocked, last.Address, last.Readable, last.Writable));
            Assert.Equal(domain.Id, last.Domain);
        }

        var beyond = await Translate(model, mappings[^1].Iova + mappings[^1].Length);
        Assert.Equal((true, 0ul), (beyond.Blocked, beyond.Length));
        Assert.Equal(model == "vtd" ? "NoReadPermission" : "Mapping", beyond.FaultName);

        var counters = await Iommu<GetIommuCountersRequest, GetIommuCountersResponse>("GetIommuCounters", new() { Machine = model });
        Assert.Equal((model, true), (counters.Model, counters.Translating));
        Assert.True(counters.Devices[Disk].Hits > 0 && counters.Devices[Disk].Misses > 0, counters.ToString());
        Assert.Equal(model == "virtio", counters.Requests.ContainsKey("Map.Ok"));
        Assert.Equal(model == "virtio", domain is { HasMappings: true, Mappings: > 0, Counts.Maps: > 0 });
        if (model == "virtio")
        {
            Assert.Equal(counters.Mappings, domain.Mappings);
            Assert.Equal(counters.Requests["Map.Ok"], domain.Counts.Maps);
            Assert.Equal(domain.Counts.Maps - domain.Counts.Removed, domain.Mappings);
        }

        var before = await Iommu<GetCachesRequest, GetCachesResponse>("GetCaches", new() { Machine = model });
        Assert.NotEqual(0u, before.SmallPages + before.Translations);
        await Iommu<FlushIommuRequest, FlushIommuResponse>("FlushIommu", new() { Machine = model });
        var after = await Iommu<GetCachesRequest, GetCachesResponse>("GetCaches", new() { Machine = model });
        Assert.Equal(0u, after.SmallPages + after.LargePages + after.HugePages + after.Translations + after.Contexts);

        Assert.Equal(0ul, (await Iommu<ListIommuFaultsRequest, ListIommuFaultsResponse>("ListIommuFaults", new() { Machine = model })).Recorded);
        await Call<CreateFaultRuleRequest, CreateFaultRuleResponse>(FaultReflection.Descriptor, "CreateFaultRule", new()
        {
            Machine = model, Rule = new() { Match = new() { Device = Disk, Opcode = 2, Count = 1 }, Action = new() { Translation = new() { Reason = model == "vtd" ? 5u : 2 } } },
        });
        await Expect(model, model == "vtd" ? "DMAR: [DMA Write NO_PASID] Request device [00:03.0]" : "virtio_iommu", "dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 iflag=direct\n");
        Assert.Equal(1ul, (await Iommu<ListIommuFaultsRequest, ListIommuFaultsResponse>("ListIommuFaults", new() { Machine = model })).Recorded);
        await Delete(model);
    }

    [Fact]
    public async Task A_virtio_iommu_without_a_driver_bypasses_or_blocks()
    {
        foreach (var bypass in new[] { "on", "off" })
        {
            await Create(bypass, new() { MemoryBytes = 64 << 20, Disks = { new DiskSpec { SizeBytes = 1 << 20 } }, Iommu = new() { Model = "virtio", VirtioOptions = { { "bypass", bypass } } } });
            var answer = await Translate(bypass, 0x1234);
            Assert.Equal((bypass == "off", bypass == "on"), (answer.Blocked, answer.PassThrough));
            Assert.Equal((24u, bypass == "on"), (answer.VirtioIommu.Endpoint, answer.VirtioIommu.Bypass));
            var mappings = await Dump(bypass);
            Assert.Equal(bypass == "on" ? [0ul, 0xFEF0_0000] : [], mappings.Select(m => m.Iova));
            Assert.Equal(bypass == "on" ? [0xFEE0_0000, ulong.MaxValue - 0xFEEF_FFFF] : [], mappings.Select(m => m.Length));
            Assert.Equal("IOMMU_MODEL", Detail<PreconditionFailure>(await Fails(Grpc.StatusCode.FailedPrecondition, Dump(bypass, pasid: 5))).Violations[0].Type);
            await Delete(bypass);
        }
    }

    [Fact]
    public async Task A_machine_without_a_unit_says_so()
    {
        await Create("bare", new() { MemoryBytes = 64 << 20 });
        var error = await Fails(Grpc.StatusCode.FailedPrecondition, Iommu<ListDomainsRequest, ListDomainsResponse>("ListDomains", new() { Machine = "bare" }));
        Assert.Equal("IOMMU", Detail<PreconditionFailure>(error).Violations[0].Type);
        await Fails(Grpc.StatusCode.FailedPrecondition, Dump("bare"));
        await Fails(Grpc.StatusCode.InvalidArgument, Iommu<TranslateRequest, TranslateResponse>("Translate", new() { Machine = "bare", Bdf = "nonsense" }));
        await Delete("bare");
    }
}
