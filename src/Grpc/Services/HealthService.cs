using Google.Protobuf.Reflection;
using Grpc.Health.V1;
using Vmm.Grpc.Serving;
using ServingStatus = Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace Vmm.Grpc.Services;

/// <summary>grpc.health.v1: whether the server (the empty name) and each of its services takes calls.</summary>
public sealed class HealthService
{
    const string Server = "";

    readonly Lock gate = new();
    readonly Dictionary<string, ServingStatus> statuses = new(StringComparer.Ordinal) { [Server] = ServingStatus.Serving };
    TaskCompletionSource changed = NewSignal();
    bool stopping;

    /// <summary>Whether the server as a whole takes calls.</summary>
    public bool IsServing
    {
        get
        {
            lock (gate)
            {
                return statuses[Server] == ServingStatus.Serving;
            }
        }
    }

    /// <summary>Sets the state of a service by its full name, or of the server with the empty name. Has no effect once the server stops.</summary>
    public void Set(string service, bool serving)
    {
        lock (gate)
        {
            if (!stopping)
            {
                statuses[service] = serving ? ServingStatus.Serving : ServingStatus.NotServing;
                Signal();
            }
        }
    }

    /// <summary>From now on nothing is serving.</summary>
    public void Stop()
    {
        lock (gate)
        {
            stopping = true;
            foreach (var service in statuses.Keys.ToArray())
            {
                statuses[service] = ServingStatus.NotServing;
            }

            Signal();
        }
    }

    internal MethodTable Methods => new MethodTable(HealthReflection.Descriptor.FindTypeByName<ServiceDescriptor>("Health"))
        .Unary<HealthCheckRequest, HealthCheckResponse>("Check", CheckAsync)
        .Unary<HealthListRequest, HealthListResponse>("List", ListAsync)
        .ServerStreaming<HealthCheckRequest, HealthCheckResponse>("Watch", WatchAsync);

    Task<HealthCheckResponse> CheckAsync(HealthCheckRequest request, ServerCallContext context)
    {
        var (status, _) = Look(request.Service);
        return status != ServingStatus.ServiceUnknown
            ? Task.FromResult(new HealthCheckResponse { Status = status })
            : throw new RpcException(StatusCode.NotFound, $"no service '{request.Service}'");
    }

    Task<HealthListResponse> ListAsync(HealthListRequest request, ServerCallContext context)
    {
        var response = new HealthListResponse();
        lock (gate)
        {
            foreach (var (service, status) in statuses)
            {
                response.Statuses.Add(service, new HealthCheckResponse { Status = status });
            }
        }

        return Task.FromResult(response);
    }

    /// <summary>Sends a state when it differs from the one sent before; ends after the change that draining brings.</summary>
    async Task WatchAsync(HealthCheckRequest request, IServerStreamWriter<HealthCheckResponse> responses, ServerCallContext context)
    {
        ServingStatus? sent = null;
        while (true)
        {
            var (status, next) = Look(request.Service);
            if (status != sent)
            {
                sent = status;
                await responses.WriteAsync(new HealthCheckResponse { Status = status }, context.CancellationToken).ConfigureAwait(false);
                continue;
            }

            if (context.Draining.IsCancellationRequested)
            {
                throw ActiveCalls.Stopping();
            }

            using var ends = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, context.Draining);
            await next.WaitAsync(ends.Token).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default).ConfigureAwait(false);
            context.CancellationToken.ThrowIfCancellationRequested();
        }
    }

    (ServingStatus Status, Task Changed) Look(string service)
    {
        lock (gate)
        {
            return (statuses.GetValueOrDefault(service, ServingStatus.ServiceUnknown), changed.Task);
        }
    }

    void Signal()
    {
        changed.SetResult();
        changed = NewSignal();
    }

    static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
