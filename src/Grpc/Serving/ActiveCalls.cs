using Google.Protobuf.WellKnownTypes;
using Google.Rpc;

namespace Vmm.Grpc.Serving;

/// <summary>The calls that run, so that they can be counted, bounded and brought to an end.</summary>
internal sealed class ActiveCalls(int limit) : IDisposable
{
    readonly Lock gate = new();
    readonly HashSet<ServerCall> calls = [];
    readonly CancellationTokenSource draining = new();
    readonly TaskCompletionSource empty = new(TaskCreationOptions.RunContinuationsAsynchronously);
    bool isDraining;

    public int Count
    {
        get
        {
            lock (gate)
            {
                return calls.Count;
            }
        }
    }

    /// <summary>Cancelled when draining begins.</summary>
    public CancellationToken Draining => draining.Token;

    /// <summary>Takes a call in, or tells why not; one that asks for health is taken even while draining.</summary>
    public RpcException? Enter(ServerCall call, bool isHealth)
    {
        lock (gate)
        {
            if (isDraining && !isHealth)
            {
                return Stopping();
            }

            if (calls.Count >= limit)
            {
                var quota = new QuotaFailure { Violations = { new QuotaFailure.Types.Violation { Subject = "calls", Description = $"{limit} calls are running" } } };
                return RichStatus.Error(StatusCode.ResourceExhausted, "too many calls", quota);
            }

            calls.Add(call);
            return null;
        }
    }

    public void Leave(ServerCall call)
    {
        lock (gate)
        {
            calls.Remove(call);
            if (isDraining && calls.Count == 0)
            {
                empty.TrySetResult();
            }
        }
    }

    /// <summary>Refuses new calls, lets running ones end, and cuts those that are left after the grace.</summary>
    public async Task DrainAsync(TimeSpan grace)
    {
        lock (gate)
        {
            isDraining = true;
            if (calls.Count == 0)
            {
                empty.TrySetResult();
            }
        }

        await draining.CancelAsync().ConfigureAwait(false);
        if (await Task.WhenAny(empty.Task, Task.Delay(grace)).ConfigureAwait(false) == empty.Task)
        {
            return;
        }

        foreach (var call in Snapshot())
        {
            call.Cut(CallCut.Drained);
        }

        await Task.WhenAny(empty.Task, Task.Delay(TimeSpan.FromSeconds(2))).ConfigureAwait(false);
    }

    /// <summary>The status of calls that a stopping server refuses or cuts.</summary>
    public static RpcException Stopping()
        => RichStatus.Error(StatusCode.Unavailable, "the server is stopping", new RetryInfo { RetryDelay = Duration.FromTimeSpan(TimeSpan.FromSeconds(1)) });

    public void Dispose() => draining.Dispose();

    ServerCall[] Snapshot()
    {
        lock (gate)
        {
            return [.. calls];
        }
    }
}
