using Google.Protobuf;

namespace Vmm.Control.Operations;

/// <summary>Work that outlasts the call that starts it. It runs once, on a thread of its own.</summary>
internal interface ILongWork
{
    /// <summary>How far it is. Asked from any thread.</summary>
    IMessage Metadata { get; }

    /// <summary>Does the work.</summary>
    /// <param name="isCancelled">Asked where the work can end early.</param>
    /// <returns>The response of the operation.</returns>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    /// <exception cref="Vmm.Grpc.RpcException">It failed, and this is the operation's error.</exception>
    IMessage Run(Func<bool> isCancelled);
}
