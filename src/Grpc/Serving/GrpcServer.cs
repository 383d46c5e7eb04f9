using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Vmm.Grpc.Wire;

namespace Vmm.Grpc.Serving;

/// <summary>Finds the method of a request and turns whatever happens into a status (PROTOCOL-HTTP2).</summary>
internal sealed partial class GrpcServer : IDisposable
{
    readonly Dictionary<string, BoundMethod> methods = new(StringComparer.Ordinal);
    readonly Dictionary<string, MethodTable> services = new(StringComparer.Ordinal);
    readonly ActiveCalls active;
    readonly MessageLimits limits;
    readonly ICallObserver? observer;
    readonly ILogger log;

    public GrpcServer(IEnumerable<MethodTable> tables, GrpcLimits limits, ICallObserver? observer, ILogger log)
    {
        this.observer = observer;
        this.log = log;
        active = new ActiveCalls(limits.MaxCalls);
        this.limits = new MessageLimits
        {
            MaxReceive = limits.MaxReceiveMessage,
            MaxFields = limits.MaxReceiveFields,
            MaxSend = limits.MaxSendMessage,
            MessageTimeout = limits.MessageTimeout,
            SendTimeout = limits.SendTimeout,
            Budget = new ReceiveBudget(limits.MaxUnfinished),
        };
        foreach (var table in tables)
        {
            services.Add(table.Service.FullName, table);
            foreach (var method in table.Methods)
            {
                methods.Add(method.Path, method);
            }
        }
    }

    /// <summary>Calls running now.</summary>
    public ActiveCalls Active => active;

    /// <summary>Serves one request to its end. Never throws.</summary>
    public async Task HandleAsync(HttpContext http)
    {
        if (!Admission.IsGrpc(http))
        {
            return;
        }

        var start = Stopwatch.GetTimestamp();
        var target = Admission.Target(http);
        methods.TryGetValue(target, out var method);
        var code = await ServeAsync(http, target, method).ConfigureAwait(false);
        observer?.Ended(method?.Path ?? "unknown", code, Stopwatch.GetElapsedTime(start));
    }

    public void Dispose() => active.Dispose();

    async Task<StatusCode> ServeAsync(HttpContext http, string target, BoundMethod? method)
    {
        var refusal = Admission.Refuse(http);
        if (refusal != null || method == null)
        {
            return await RefuseAsync(http, refusal ?? Unknown(target)).ConfigureAwait(false);
        }

        ServerCall call;
        try
        {
            call = new ServerCall(http, method, limits, active.Draining);
        }
        catch (RpcException error)
        {
            return await RefuseAsync(http, error).ConfigureAwait(false);
        }

        using (call)
        {
            if (active.Enter(call, method.Descriptor.Service.FullName == HealthNames.Service) is { } full)
            {
                return await RefuseAsync(http, full).ConfigureAwait(false);
            }

            try
            {
                return await RunAsync(call).ConfigureAwait(false);
            }
            finally
            {
                active.Leave(call);
            }
        }
    }

    [SuppressMessage("Design", "CA1031", Justification = "Whatever a method throws becomes a status of its call.")]
    async Task<StatusCode> RunAsync(ServerCall call)
    {
        Status status;
        Metadata trailers = [];
        try
        {
            call.CancellationToken.ThrowIfCancellationRequested();
            await call.Bound.InvokeAsync(call).ConfigureAwait(false);
            call.CancellationToken.ThrowIfCancellationRequested();
            status = call.Status;
        }
        catch (RpcException error) when (call.WhyCut == CallCut.None || error.StatusCode != StatusCode.Cancelled)
        {
            (status, trailers) = (error.Status, error.Trailers);
        }
        catch (Exception error)
        {
            (status, trailers) = Explain(call, error);
        }

        try
        {
            if (call.WhyCut != CallCut.Aborted)
            {
                await call.EndAsync(status, trailers).ConfigureAwait(false);
            }
        }
        catch (Exception error)
        {
            Failed(log, call.Method, error);
        }

        return status.Code;
    }

    (Status Status, Metadata Trailers) Explain(ServerCall call, Exception error)
    {
        switch (call.WhyCut)
        {
            case CallCut.Aborted:
                return (new Status(StatusCode.Cancelled, "the caller is gone"), []);
            case CallCut.Deadline:
                return (new Status(StatusCode.DeadlineExceeded, "the deadline passed"), []);
            case CallCut.Drained:
                var stopping = ActiveCalls.Stopping();
                return (stopping.Status, stopping.Trailers);
            default:
                Failed(log, call.Method, error);
                return (new Status(StatusCode.Internal, "an error of the server"), []);
        }
    }

    static async Task<StatusCode> RefuseAsync(HttpContext http, RpcException error)
    {
        http.Response.ContentType = Admission.ContentType;
        StatusHeaders.Set(http.Response.Headers, error.Status, error.Trailers);
        await http.Response.CompleteAsync().ConfigureAwait(false);
        return error.StatusCode;
    }

    RpcException Unknown(string target)
    {
        var parts = target.Split('/');
        return parts.Length == 3 && parts[0].Length == 0 && services.ContainsKey(parts[1])
            ? new RpcException(StatusCode.Unimplemented, $"{parts[1]} has no method '{RichStatus.Short(parts[2])}' here")
            : new RpcException(StatusCode.Unimplemented, $"no service at '{RichStatus.Short(target)}'");
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} failed")]
    static partial void Failed(ILogger log, string method, Exception error);
}
