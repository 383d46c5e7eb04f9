using System.CommandLine;
using Google.LongRunning;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Vmm.Beds;
using Vmm.Api.V1;
using Vmm.Cli;
using Vmm.Control.Operations;
using Vmm.ControlTests.Kit;
using Xunit;

namespace Vmm.ControlTests.Machines;

/// <summary>Long-running operations, with measurements of the DMA layer as the work.</summary>
public sealed class MeasurementTests(ControlFixture control) : ControlCaller(control)
{
    Task<Operation> Start(MeasureDmaRequest request) => Call<MeasureDmaRequest, Operation>(MeasurementReflection.Descriptor, "MeasureDma", request);

    Task<Operation> Wait(string name, Duration? timeout = null) =>
        Call<WaitOperationRequest, Operation>(OperationsReflection.Descriptor, "WaitOperation", new() { Name = name, Timeout = timeout });

    Task<Operation> Get(string name) => Call<GetOperationRequest, Operation>(OperationsReflection.Descriptor, "GetOperation", new() { Name = name });

    Task Cancel(string name) => Call<CancelOperationRequest, Empty>(OperationsReflection.Descriptor, "CancelOperation", new() { Name = name });

    Task Forget(string name) => Call<DeleteOperationRequest, Empty>(OperationsReflection.Descriptor, "DeleteOperation", new() { Name = name });

    Task<ListOperationsResponse> List(string filter = "", int size = 0, string token = "") => Call<ListOperationsRequest, ListOperationsResponse>(
        OperationsReflection.Descriptor, "ListOperations", new() { Name = "operations", Filter = filter, PageSize = size, PageToken = token });

    async Task<List<DmaRow>> Rows(string name, uint size = 0)
    {
        var rows = new List<DmaRow>();
        var token = "";
        do
        {
            var page = await Call<ListDmaRowsRequest, ListDmaRowsResponse>(MeasurementReflection.Descriptor, "ListDmaRows", new() { Operation = name, PageSize = size, PageToken = token });
            rows.AddRange(page.Rows);
            token = page.Rows.Count == 0 ? "" : page.NextPageToken;
        }
        while (token.Length != 0);
        return rows;
    }

    [Fact]
    public async Task A_measurement_ends_with_the_rows_that_the_command_writes()
    {
        var started = await Start(new() { Loads = { "request" }, Iommus = { "vtd", "viommu" } });
        Assert.False(started.Done);
        Assert.Equal(16u, started.Metadata.Unpack<MeasureDmaMetadata>().Total);
        var ended = await Wait(started.Name);
        Assert.True(ended.Done);
        Assert.Equal(Operation.ResultOneofCase.Response, ended.ResultCase);
        var rows = ended.Response.Unpack<MeasureDmaResponse>().Rows;
        var metadata = ended.Metadata.Unpack<MeasureDmaMetadata>();
        Assert.Equal((16u, 16u, null, rows[^1]), (metadata.Total, metadata.Done, metadata.Current, metadata.Latest));
        Assert.Equal(rows, await Rows(started.Name, 5));

        using var folder = new TemporaryFolder();
        foreach (var iommu in new[] { "vtd", "viommu" })
        {
            var file = folder.At(iommu);
            Assert.Equal(0, new RootCommand { BenchCommand.Create() }.Parse(["bench", "dma", "--load", "request", "--iommu", iommu, "--csv", file]).Invoke());
            Assert.Equal(await File.ReadAllTextAsync(file), DmaTable.Csv(rows.Where(r => r.Point.Iommu == iommu).Select(DmaRowMessages.Read)));
        }

        await Forget(started.Name);
    }

    [Fact]
    public async Task Ctl_follows_a_measurement_and_prints_the_table_of_the_command()
    {
        var text = new StringWriter();
        var (rows, ended) = await CtlMeasure.FollowAsync(Channel, new() { Loads = { "request" }, Iommus = { "vtd" } }, text);
        Assert.True(ended.Done && ended.Error == null);
        Assert.Equal(8, rows.Count);
        Assert.Equal([DmaTable.Heading, .. rows.Select(DmaTable.Line)], text.ToString().Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries));
        await Forget(ended.Name);
    }

    [Fact]
    public async Task A_cancelled_measurement_keeps_what_it_has()
    {
        var name = (await Start(new())).Name;
        while ((await Get(name)).Metadata.Unpack<MeasureDmaMetadata>().Done == 0)
        {
            await Wait(name, Duration.FromTimeSpan(TimeSpan.FromMilliseconds(20)));
        }

        var running = await Get(name);
        Assert.Equal((false, Operation.ResultOneofCase.None), (running.Done, running.ResultCase));
        Assert.NotNull(running.Metadata.Unpack<MeasureDmaMetadata>().Latest);
        Assert.False((await Wait(name, new())).Done);
        Detail<PreconditionFailure>(await Fails(Grpc.StatusCode.FailedPrecondition, Forget(name)));
        await Cancel(name);
        var ended = await Wait(name);
        Assert.Equal((true, (int)Grpc.StatusCode.Cancelled), (ended.Done, ended.Error.Code));
        var metadata = ended.Metadata.Unpack<MeasureDmaMetadata>();
        Assert.InRange(metadata.Done, 1u, metadata.Total - 1);
        Assert.Equal((int)metadata.Done, (await Rows(name)).Count);
        await Cancel(name);
        Assert.Equal(ended, await Get(name));
        await Forget(name);
        Detail<ResourceInfo>(await Fails(Grpc.StatusCode.NotFound, Get(name)));
        await Fails(Grpc.StatusCode.NotFound, Cancel(name));
        await Fails(Grpc.StatusCode.NotFound, Wait(name));
        await Fails(Grpc.StatusCode.NotFound, Forget(name));
    }

    [Fact]
    public async Task Operations_beyond_the_limit_are_refused_and_lists_come_in_pages()
    {
        var names = new[] { (await Start(new())).Name, (await Start(new())).Name };
        Assert.Equal("operations", Detail<QuotaFailure>(await Fails(Grpc.StatusCode.ResourceExhausted, Start(new()))).Violations[0].Subject);
        var first = await List("done=false", 1);
        Assert.Equal(names[0], Assert.Single(first.Operations).Name);
        var second = await List("done=false", 1, first.NextPageToken);
        Assert.Equal((names[1], ""), (Assert.Single(second.Operations).Name, second.NextPageToken));
        foreach (var name in names)
        {
            await Cancel(name);
            await Wait(name);
        }

        Assert.Empty((await List("done=false")).Operations);
        Assert.Equal(names, (await List("done=true")).Operations.Select(o => o.Name));
        foreach (var name in names)
        {
            await Forget(name);
        }
    }

    [Fact]
    public async Task All_that_is_wrong_with_a_request_is_named_at_once()
    {
        var bad = Detail<BadRequest>(await Fails(Grpc.StatusCode.InvalidArgument, Start(new() { Loads = { "read", "nonsense" }, Policies = { "x" }, Iommus = { "" }, Profiles = { "y" }, Bytes = 5 })));
        Assert.Equal(["bytes", "depth", "iommus[0]", "loads[1]", "policies[0]", "profiles[0]"], bad.FieldViolations.Select(v => v.Field).Order(StringComparer.Ordinal));
        await Fails(Grpc.StatusCode.InvalidArgument, Start(new() { Policies = { "strict" }, Iommus = { "none" } }));
        bad = Detail<BadRequest>(await Fails(Grpc.StatusCode.InvalidArgument, Call<ListOperationsRequest, ListOperationsResponse>(
            OperationsReflection.Descriptor, "ListOperations", new() { Name = "elsewhere", Filter = "x", PageSize = -1, PageToken = "y" })));
        Assert.Equal(["filter", "name", "page_size", "page_token"], bad.FieldViolations.Select(v => v.Field).Order(StringComparer.Ordinal));
        await Fails(Grpc.StatusCode.InvalidArgument, Wait("operations/x", new() { Seconds = -1 }));
        await Fails(Grpc.StatusCode.NotFound, Wait("operations/x"));
    }

    [Fact]
    public async Task A_load_that_does_not_fit_is_an_error_of_the_operation()
    {
        var name = (await Start(new() { Loads = { "read" }, Policies = { "strict" }, Iommus = { "vtd" }, Profiles = { "comet-lake" }, Bytes = 4 << 20, Depth = 10_000 })).Name;
        var ended = await Wait(name);
        Assert.Equal((true, (int)Grpc.StatusCode.FailedPrecondition), (ended.Done, ended.Error.Code));
        Assert.Equal("LOAD", ended.Error.Details[0].Unpack<PreconditionFailure>().Violations[0].Type);
        await Forget(name);
    }

    [Fact]
    public void The_method_tells_what_its_operation_ends_with()
    {
        var info = MeasurementReflection.Descriptor.Services[0].FindMethodByName("MeasureDma").GetOptions().GetExtension(OperationsExtensions.OperationInfo);
        Assert.Equal((nameof(MeasureDmaResponse), nameof(MeasureDmaMetadata)), (info.ResponseType, info.MetadataType));
    }
}
