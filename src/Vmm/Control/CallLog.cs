using Microsoft.Extensions.Logging;
using Vmm.Grpc;
using Vmm.Grpc.Serving;

namespace Vmm.Control;

/// <summary>One log line for each call, and the same to the next observer. Failures of callers are no warnings.</summary>
internal sealed partial class CallLog(ICallObserver next, ILogger log) : ICallObserver
{
    /// <inheritdoc/>
    public void Ended(string method, StatusCode status, TimeSpan elapsed)
    {
        Line(log, status is StatusCode.Internal or StatusCode.Unknown or StatusCode.DataLoss ? LogLevel.Warning : LogLevel.Information, method, status, elapsed.TotalMilliseconds);
        next.Ended(method, status, elapsed);
    }

    [LoggerMessage(Message = "{Method} {Status} {Milliseconds} ms")]
    static partial void Line(ILogger log, LogLevel level, string method, StatusCode status, double milliseconds);
}
