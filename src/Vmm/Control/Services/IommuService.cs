using System.Globalization;
using Vmm.Api.V1;
using Vmm.Control.Hosting;
using Vmm.Control.Iommus;
using Vmm.Grpc;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;

namespace Vmm.Control.Services;

/// <summary>vmm.v1.IommuService.</summary>
internal sealed class IommuService(MachineRegistry machines)
{
    const int MappingsPerMessage = 4096, DomainsPerPage = 10_000;

    /// <summary>The methods.</summary>
    public MethodTable Methods => new MethodTable(IommuReflection.Descriptor.Services[0])
        .Unary<ListDomainsRequest, ListDomainsResponse>("ListDomains", (r, c) =>
        {
            var from = 0u;
            var violations = new Violations();
            violations.Require(r.PageSize <= DomainsPerPage, "page_size", $"at most {DomainsPerPage}");
            violations.Require(r.PageToken.Length == 0 || uint.TryParse(r.PageToken, NumberStyles.None, CultureInfo.InvariantCulture, out from), "page_token", "not a token of this method");
            violations.Throw();
            return Look(r.Machine, unit => Domains(unit, from, r.PageSize == 0 ? DomainsPerPage : (int)r.PageSize), c);
        })
        .Unary<TranslateRequest, TranslateResponse>("Translate", (r, c) =>
        {
            var request = Request(r.Bdf, r.Iova, r.Write ? DmaAccess.Write : DmaAccess.Read, r.HasPasid ? r.Pasid : null);
            return Look(r.Machine, unit => unit.Translate(request), c);
        })
        .ServerStreaming<DumpTablesRequest, DumpTablesResponse>("DumpTables", DumpAsync)
        .Unary<GetCachesRequest, GetCachesResponse>("GetCaches", (r, c) => Look(r.Machine, unit => unit.Caches(), c))
        .Unary<ListIommuFaultsRequest, ListIommuFaultsResponse>("ListIommuFaults", (r, c) => Look(r.Machine, unit => unit.Faults(), c))
        .Unary<GetIommuCountersRequest, GetIommuCountersResponse>("GetIommuCounters", (r, c) => Look(r.Machine, unit => unit.Counters(), c))
        .Unary<FlushIommuRequest, FlushIommuResponse>("FlushIommu", (r, c) => Look(
            r.Machine,
            unit =>
            {
                unit.Flush();
                return new FlushIommuResponse();
            },
            c));

    Task<T> Look<T>(string machine, Func<IIommuView, T> look, ServerCallContext context) => machines.Get(machine).InvokeAsync(
        m => look(IIommuView.Of(m) ?? throw Errors.Precondition("IOMMU", machine, $"machine '{Errors.Plain(machine)}' has no remapping unit")), context.CancellationToken);

    static ListDomainsResponse Domains(IIommuView unit, uint from, int size)
    {
        var found = unit.Domains(from).Take(size + 1).ToList();
        return new() { Domains = { found.Take(size) }, NextPageToken = found.Count > size ? found[size].Id.ToString(CultureInfo.InvariantCulture) : "" };
    }

    static DmaRequest Request(string bdf, ulong iova, DmaAccess access, uint? pasid)
    {
        var violations = new Violations();
        violations.Require(Requesters.TryParse(bdf, out var requester), "bdf", Requesters.Form);
        violations.Require(pasid is null or < 1 << 20, "pasid", "more than 20 bits");
        violations.Throw();
        return new(requester, new Iova(iova), access, pasid ?? 0, pasid != null);
    }

    async Task DumpAsync(DumpTablesRequest request, IServerStreamWriter<DumpTablesResponse> responses, ServerCallContext context)
    {
        if (request.Limit > 1_000_000)
        {
            throw Errors.Invalid("limit", "1 to 1000000");
        }

        var first = Request(request.Bdf, request.FromIova, DmaAccess.Read, request.HasPasid ? request.Pasid : null);
        var dump = new TableDump(first, request.Limit == 0 ? 100_000 : request.Limit);
        do
        {
            var part = await Look(
                request.Machine,
                unit => unit.HasPasids || !first.HasPasid
                    ? dump.Next(unit, MappingsPerMessage)
                    : throw Errors.Precondition("IOMMU_MODEL", request.Machine, "virtio-iommu has no address spaces for PASIDs"),
                context).ConfigureAwait(false);
            if (part.Mappings.Count != 0 || part.HasNextIova)
            {
                await responses.WriteAsync(part, context.CancellationToken).ConfigureAwait(false);
            }
        }
        while (!dump.IsDone);
    }
}
