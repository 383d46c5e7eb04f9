using System.Globalization;

namespace Vmm.Control.Operations;

/// <summary>
/// Operations of a server. Few run at once, and only the latest that are done are kept, so that clients who never delete
/// theirs cost a bounded amount.
/// </summary>
/// <param name="epoch">Names this server, so that a name of another life of it is not mistaken for one of this.</param>
/// <param name="running">Operations that run at once.</param>
internal sealed class OperationRegistry(string epoch, int running)
{
    /// <summary>Operations that are done and kept.</summary>
    public const int Kept = 64;

    /// <summary>Beginning of every name.</summary>
    public const string Collection = "operations";

    readonly Lock gate = new();
    readonly SortedDictionary<ulong, LongOperation> operations = [];
    ulong last;
    bool isDraining;

    /// <summary>Operations that run now.</summary>
    public int Running
    {
        get
        {
            lock (gate)
            {
                return operations.Values.Count(o => !o.IsDone);
            }
        }
    }

    /// <summary>Starts work.</summary>
    /// <exception cref="Grpc.RpcException">Too much runs already, or the server is about to end.</exception>
    public LongOperation Start(ILongWork work)
    {
        LongOperation operation;
        lock (gate)
        {
            if (isDraining)
            {
                throw Errors.Draining();
            }

            if (Running >= running)
            {
                throw Errors.Exhausted("operations", $"{running} operations run already");
            }

            operation = new($"{Collection}/{epoch}-{(++last).ToString(CultureInfo.InvariantCulture)}", last, work);
            operations.Add(last, operation);
            foreach (var old in operations.Values.Where(o => o.IsDone).SkipLast(Kept).ToList())
            {
                operations.Remove(old.Number);
            }
        }

        new Thread(operation.Run) { IsBackground = true, Name = operation.Name }.Start();
        return operation;
    }

    /// <summary>The operation of a name.</summary>
    /// <exception cref="Grpc.RpcException">NOT_FOUND.</exception>
    public LongOperation Get(string name)
    {
        lock (gate)
        {
            return operations.Values.FirstOrDefault(o => o.Name == name) ?? throw Errors.NotFound("operation", name);
        }
    }

    /// <summary>Operations after a number, in order.</summary>
    public LongOperation[] After(ulong number)
    {
        lock (gate)
        {
            return [.. operations.Values.Where(o => o.Number > number)];
        }
    }

    /// <summary>Forgets an operation that is done.</summary>
    /// <exception cref="Grpc.RpcException">NOT_FOUND, or FAILED_PRECONDITION while it runs.</exception>
    public void Delete(string name)
    {
        lock (gate)
        {
            var found = Get(name);
            if (!found.IsDone)
            {
                throw Errors.Precondition("STATE", name, $"operation '{Errors.Plain(name)}' runs: cancel it first");
            }

            operations.Remove(found.Number);
        }
    }

    /// <summary>Takes no new work, cancels what runs and waits a while for it to end.</summary>
    public async Task DrainAsync()
    {
        LongOperation[] all;
        lock (gate)
        {
            isDraining = true;
            all = [.. operations.Values];
        }

        foreach (var operation in all)
        {
            operation.Cancel();
        }

        await Task.WhenAny(Task.WhenAll(all.Select(o => o.Ended)), Task.Delay(TimeSpan.FromSeconds(5))).ConfigureAwait(false);
    }
}
