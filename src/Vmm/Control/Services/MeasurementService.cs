using System.Globalization;
using Google.LongRunning;
using Google.Protobuf.Collections;
using Vmm.Api.V1;
using Vmm.Beds;
using Vmm.Control.Operations;
using Vmm.Grpc;
using Vmm.GuestDma;

namespace Vmm.Control.Services;

/// <summary>vmm.v1.MeasurementService.</summary>
internal sealed class MeasurementService(OperationRegistry operations)
{
    const int RowsPerPage = 1000;

    /// <summary>The methods.</summary>
    public MethodTable Methods => new MethodTable(MeasurementReflection.Descriptor.Services[0])
        .Unary<MeasureDmaRequest, Operation>("MeasureDma", (r, _) => Task.FromResult(operations.Start(new DmaRun(Points(r))).Describe()))
        .Unary<ListDmaRowsRequest, ListDmaRowsResponse>("ListDmaRows", (r, _) => Task.FromResult(Rows(r)));

    /// <summary>What a request asks for, in the order of the command.</summary>
    static List<Beds.DmaPoint> Points(MeasureDmaRequest request)
    {
        var violations = new Violations();
        Known(request.Loads, "loads", Enum.GetValues<DmaLoad>().Select(DmaRowMessages.NameOf), violations);
        Known(request.Policies, "policies", Enum.GetValues<DmaPolicy>().Select(DmaRowMessages.NameOf), violations);
        Known(request.Iommus, "iommus", Beds.DmaPoint.Iommus, violations);
        Known(request.Profiles, "profiles", DmaProfiles.Names, violations);
        var isTable = request is { Bytes: 0, Depth: 0 };
        violations.Require(isTable || request.Bytes is >= 4096 and <= 4 << 20 && request.Bytes % 4096 == 0, "bytes", "a multiple of 4096 from 4096 to 4194304, or 0 together with depth");
        violations.Require(isTable || request.Depth is >= 1 and <= 10_000, "depth", "1 to 10000, or 0 together with bytes");
        violations.Throw();
        var points = (isTable ? DmaPlans.Table : DmaPlans.At((int)request.Bytes, (int)request.Depth))
            .Where(p => Has(request.Loads, DmaRowMessages.NameOf(p.Load)) && Has(request.Policies, DmaRowMessages.NameOf(p.Policy)) &&
                Has(request.Iommus, p.Iommu) && Has(request.Profiles, p.Profile))
            .Where((_, i) => !request.Quick || i % 8 == 0)
            .ToList();
        return points.Count != 0 ? points : throw Errors.Invalid("loads", "no measurement has such a load, policy, IOMMU and profile together");
    }

    static void Known(RepeatedField<string> asked, string field, IEnumerable<string> names, Violations violations)
    {
        var all = names.ToHashSet(StringComparer.Ordinal);
        for (var i = 0; i < asked.Count; i++)
        {
            violations.Require(all.Contains(asked[i]), $"{field}[{i}]", $"one of {string.Join(", ", all)}");
        }
    }

    static bool Has(RepeatedField<string> wanted, string found) => wanted.Count == 0 || wanted.Contains(found);

    ListDmaRowsResponse Rows(ListDmaRowsRequest request)
    {
        var from = 0;
        var violations = new Violations();
        violations.Require(request.PageSize <= RowsPerPage, "page_size", $"at most {RowsPerPage}");
        violations.Require(
            request.PageToken.Length == 0 || int.TryParse(request.PageToken, NumberStyles.None, CultureInfo.InvariantCulture, out from), "page_token", "not a token of this method");
        violations.Throw();
        var operation = operations.Get(request.Operation);
        var isDone = operation.IsDone;
        var run = operation.Work as DmaRun ?? throw Errors.Precondition("OPERATION_KIND", request.Operation, "the operation is not one of MeasureDma");
        var rows = run.Rows(from, request.PageSize == 0 ? RowsPerPage : (int)request.PageSize);
        var next = from + rows.Count;
        return new()
        {
            Rows = { rows }, NextPageToken = isDone && run.Rows(next, 1).Count == 0 ? "" : next.ToString(CultureInfo.InvariantCulture),
        };
    }
}
