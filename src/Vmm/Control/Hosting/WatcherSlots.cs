namespace Vmm.Control.Hosting;

/// <summary>How many calls without an end a server serves at once.</summary>
internal sealed class WatcherSlots(int limit)
{
    int taken;

    /// <summary>Slots in use.</summary>
    public int Taken => Volatile.Read(ref taken);

    /// <summary>Takes a slot; disposing of the result gives it back.</summary>
    /// <exception cref="Grpc.RpcException">RESOURCE_EXHAUSTED.</exception>
    public IDisposable Take()
    {
        if (Interlocked.Increment(ref taken) > limit)
        {
            Interlocked.Decrement(ref taken);
            throw Errors.Exhausted("watchers", $"{limit} streams are open already");
        }

        return new Slot(this);
    }

    sealed class Slot(WatcherSlots owner) : IDisposable
    {
        int isGiven;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref isGiven, 1) == 0)
            {
                Interlocked.Decrement(ref owner.taken);
            }
        }
    }
}
