using Vmm.Api.V1;
using Vmm.Control.Hosting;
using Vmm.Grpc;
using Vmm.Machine;
using Vmm.Platform.Time;

namespace Vmm.Control.Services;

/// <summary>vmm.v1.LedgerService.</summary>
internal sealed class LedgerService(MachineRegistry machines)
{
    /// <summary>The methods.</summary>
    public MethodTable Methods => new MethodTable(LedgerReflection.Descriptor.Services[0])
        .Unary<GetLedgerRequest, GetLedgerResponse>("GetLedger", GetAsync)
        .Unary<ResetLedgerRequest, ResetLedgerResponse>("ResetLedger", ResetAsync);

    Task<GetLedgerResponse> GetAsync(GetLedgerRequest request, ServerCallContext context)
    {
        var host = machines.Get(request.Machine);
        return host.InvokeAsync(m => Read(host, m, request.Since), context.CancellationToken);
    }

    Task<ResetLedgerResponse> ResetAsync(ResetLedgerRequest request, ServerCallContext context)
    {
        var host = machines.Get(request.Machine);
        return host.InvokeAsync(
            m =>
            {
                host.Marks.Reset(MomentOf(m));
                return new ResetLedgerResponse();
            },
            context.CancellationToken);
    }

    static LedgerMoment MomentOf(VirtualMachine machine) => new(machine.Now, machine.Instructions, machine.TakeLedger());

    static GetLedgerResponse Read(MachineHost host, VirtualMachine machine, string since)
    {
        var start = since.Length == 0 ? host.Marks.Zero : host.Marks.Find(since) ?? throw Errors.Invalid("since", "not a mark that is kept");
        var now = MomentOf(machine);
        var image = start == null ? now.Image : now.Image.Since(start.Image);
        var response = new GetLedgerResponse
        {
            Mark = host.Marks.Mark(now),
            VirtualTimeNs = machine.Clock.CyclesToNanoseconds(now.Cycles - (start?.Cycles ?? 0)),
            Instructions = now.Instructions - (start?.Instructions ?? 0),
            Profile = machine.Config.Cost.Profile,
            Entries = { Entries(image.Total) },
        };
        response.Devices.Add(image.Devices.OrderBy(d => d.Key, StringComparer.Ordinal).Where(d => d.Value.Rows.Any())
            .Select(d => new DeviceLedger { Device = d.Key, Entries = { Entries(d.Value) } }));
        return response;
    }

    static IEnumerable<LedgerEntry> Entries(LedgerTable table) => table.Rows.Select(r => new LedgerEntry
    {
        Reason = r.Name, Handler = r.Handler?.ToString().ToLowerInvariant() ?? "", Count = r.Count, Cycles = r.Cycles,
    });
}
