using Google.LongRunning;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Vmm.Grpc;

namespace Vmm.Control.Operations;

/// <summary>One piece of long work and what became of it.</summary>
internal sealed class LongOperation(string name, ulong number, ILongWork work)
{
    readonly TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    Any? response;
    Google.Rpc.Status? error;
    volatile bool isCancelled;

    /// <summary>Its name.</summary>
    public string Name { get; } = name;

    /// <summary>Its place in the order in which operations were started.</summary>
    public ulong Number { get; } = number;

    /// <summary>What it does.</summary>
    public ILongWork Work { get; } = work;

    /// <summary>Completes when it has ended, however that was.</summary>
    public Task Ended => ended.Task;

    /// <summary>It has ended.</summary>
    public bool IsDone => ended.Task.IsCompleted;

    /// <summary>Asks it to end soon.</summary>
    public void Cancel() => isCancelled = true;

    /// <summary>Does the work, on the calling thread.</summary>
    public void Run()
    {
        try
        {
            response = Any.Pack(Work.Run(() => isCancelled));
        }
        catch (OperationCanceledException)
        {
            error = new() { Code = (int)StatusCode.Cancelled, Message = "cancelled by a call" };
        }
        catch (RpcException failed)
        {
            error = StatusOf(failed);
        }
        catch (OutOfMemoryException)
        {
            error = StatusOf(Errors.Exhausted("memory", "the host has no memory left for this operation"));
        }
        catch (Exception)
        {
            // The words of a defect are not for callers.
            error = new() { Code = (int)StatusCode.Internal, Message = "the operation failed" };
        }
        finally
        {
            ended.SetResult();
        }
    }

    static Google.Rpc.Status StatusOf(RpcException failed) => RichStatus.Of(failed) ?? new() { Code = (int)failed.StatusCode, Message = failed.Status.Detail };

    /// <summary>Its latest state.</summary>
    public Operation Describe()
    {
        var isDone = IsDone;
        var operation = new Operation { Name = Name, Done = isDone, Metadata = Any.Pack(Work.Metadata) };
        if (isDone && error != null)
        {
            operation.Error = error;
        }
        else if (isDone)
        {
            operation.Response = response;
        }

        return operation;
    }
}
