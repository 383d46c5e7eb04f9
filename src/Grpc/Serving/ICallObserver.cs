namespace Vmm.Grpc.Serving;

/// <summary>Told of every call, from the thread that serves it; for metrics and logs.</summary>
public interface ICallObserver
{
    /// <summary>A call ended, however it ended; refused ones and unknown methods too.</summary>
    /// <param name="method">Full name of a method of this server, or <c>unknown</c>: the set of names is bounded.</param>
    /// <param name="status">The status.</param>
    /// <param name="elapsed">From the headers to the status, host time.</param>
    void Ended(string method, StatusCode status, TimeSpan elapsed);
}
