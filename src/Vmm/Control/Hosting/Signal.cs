namespace Vmm.Control.Hosting;

/// <summary>Tells any number of waiting tasks that something changed. Raising it costs next to nothing while nobody waits.</summary>
internal sealed class Signal
{
    readonly Lock gate = new();
    volatile TaskCompletionSource? waiting;

    /// <summary>Completes at the next <see cref="Raise"/>. Take it, look, then wait: nothing is missed.</summary>
    public Task Next
    {
        get
        {
            lock (gate)
            {
                waiting ??= new(TaskCreationOptions.RunContinuationsAsynchronously);
                return waiting.Task;
            }
        }
    }

    /// <summary>Wakes everybody who waits.</summary>
    public void Raise()
    {
        if (waiting == null)
        {
            return;
        }

        TaskCompletionSource? all;
        lock (gate)
        {
            all = waiting;
            waiting = null;
        }

        all?.SetResult();
    }
}
