using Vmm.Api.V1;
using Vmm.Control.Hosting;
using Vmm.Grpc;

namespace Vmm.Control.Services;

/// <summary>vmm.v1.EventService.</summary>
internal sealed class EventService(MachineRegistry machines, WatcherSlots slots)
{
    /// <summary>The methods.</summary>
    public MethodTable Methods => new MethodTable(EventReflection.Descriptor.Services[0])
        .ServerStreaming<WatchEventsRequest, WatchEventsResponse>("WatchEvents", WatchAsync);

    async Task WatchAsync(WatchEventsRequest request, IServerStreamWriter<WatchEventsResponse> responses, ServerCallContext context)
    {
        var events = machines.Events;
        var position = events.Last;
        var violations = new Violations();
        violations.Require(request.Machines.Count <= 256, "machines", "more than 256");
        violations.Require(request.Kinds.Count <= 64 && request.Kinds.All(k => k != EventKind.Unspecified && Enum.IsDefined(k)), "kinds", "a kind that is not known");
        violations.Require(request.ResumeToken.Length == 0 || events.TryParse(request.ResumeToken, out position), "resume_token", "not a token of this server");
        violations.Throw();
        using var slot = slots.Take();
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, context.Draining);
        await context.WriteResponseHeadersAsync([]).ConfigureAwait(false);
        var (names, kinds) = (request.Machines.ToHashSet(), request.Kinds.ToHashSet());
        while (!context.Draining.IsCancellationRequested)
        {
            var changed = events.Changed;
            while (events.Read(ref position) is { } happening)
            {
                if (IsWanted(happening, names, kinds))
                {
                    await responses.WriteAsync(happening, context.CancellationToken).ConfigureAwait(false);
                }
            }

            try
            {
                await changed.WaitAsync(ending.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!context.CancellationToken.IsCancellationRequested)
            {
                break;
            }
        }

        throw Errors.Draining();
    }

    static bool IsWanted(WatchEventsResponse happening, HashSet<string> names, HashSet<EventKind> kinds) =>
        happening.EventCase == WatchEventsResponse.EventOneofCase.Dropped ||
        (names.Count == 0 || names.Contains(happening.Machine)) && (kinds.Count == 0 || kinds.Contains(KindOf(happening)));

    static EventKind KindOf(WatchEventsResponse happening) => happening.EventCase switch
    {
        WatchEventsResponse.EventOneofCase.Created => EventKind.Created,
        WatchEventsResponse.EventOneofCase.Deleted => EventKind.Deleted,
        WatchEventsResponse.EventOneofCase.State => EventKind.State,
        WatchEventsResponse.EventOneofCase.ConsoleLine => EventKind.ConsoleLine,
        WatchEventsResponse.EventOneofCase.FaultFired => EventKind.FaultFired,
        WatchEventsResponse.EventOneofCase.IommuFaults => EventKind.IommuFaults,
        WatchEventsResponse.EventOneofCase.MachineCheck => EventKind.MachineCheck,
        _ => EventKind.Unspecified,
    };
}
