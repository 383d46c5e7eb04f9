using Vmm.Api.V1;
using Vmm.Machine;

namespace Vmm.Control.Hosting;

/// <summary>
/// A machine on a thread of its own. Whatever wants to touch the machine is a job that runs on that thread: between two
/// turns while the machine runs, at once while it does not. Jobs that only look change nothing a guest could notice.
/// </summary>
internal sealed partial class MachineHost
{
    /// <summary>Jobs that may wait at once.</summary>
    const int JobLimit = 4096;

    readonly object gate = new();
    readonly Queue<Job> jobs = [];
    readonly Signal changed = new();
    readonly EventLog events;
    readonly TaskCompletionSource gone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    VirtualMachine machine = null!;
    volatile bool isClosed;

    /// <summary>Something to do on the machine's thread, and what to do instead when the machine is gone.</summary>
    readonly record struct Job(Action Run, Action Gone);

    MachineHost(string name, MachineSpec spec, EventLog events, string forkedFrom)
    {
        Name = name;
        Spec = spec;
        ForkedFrom = forkedFrom;
        this.events = events;
    }

    /// <summary>Name of the machine.</summary>
    public string Name { get; }

    /// <summary>What it was built from.</summary>
    public MachineSpec Spec { get; }

    /// <summary>Machine that it was forked from, or empty.</summary>
    public string ForkedFrom { get; }

    /// <summary>Its console.</summary>
    public ConsoleLog Console { get; } = new();

    /// <summary>Marks of the ledger that clients hold.</summary>
    public LedgerMarks Marks { get; } = new();

    /// <summary>RAM in bytes.</summary>
    public ulong MemoryBytes { get; private set; }

    /// <summary>Completes when the machine is gone.</summary>
    public Task Gone => gone.Task;

    /// <summary>Builds a machine on a new thread; fails as building does.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="spec">Its description, for those who ask.</param>
    /// <param name="events">Takes its events.</param>
    /// <param name="origin">How to build it.</param>
    public static async Task<MachineHost> CreateAsync(string name, MachineSpec spec, EventLog events, IMachineOrigin origin)
    {
        var host = new MachineHost(name, spec, events, origin.ForkedFrom);
        var built = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        // Blocks that enter each other use the stack up to a bound that the default size leaves room for.
        new Thread(() => host.Live(origin, built)) { IsBackground = true, Name = "machine " + name }.Start();
        await built.Task.ConfigureAwait(false);
        return host;
    }

    /// <summary>Runs a job on the machine's thread and hands back what it returns or throws.</summary>
    /// <exception cref="Vmm.Grpc.RpcException">The machine is gone, or too many jobs wait.</exception>
    public Task<T> InvokeAsync<T>(Func<VirtualMachine, T> work, CancellationToken cancellation)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(new(Run, () => done.TrySetException(Errors.NotFound("machine", Name))));
        return done.Task.WaitAsync(cancellation);

        void Run()
        {
            if (cancellation.IsCancellationRequested)
            {
                done.TrySetCanceled(cancellation);
                return;
            }

            try
            {
                done.TrySetResult(work(machine));
            }
            catch (Exception failure)
            {
                done.TrySetException(failure);
            }
        }
    }

    void Post(Job job)
    {
        lock (gate)
        {
            if (isClosed)
            {
                job.Gone();
                return;
            }

            if (jobs.Count >= JobLimit)
            {
                throw Errors.Exhausted("machine", $"{JobLimit} calls wait for machine '{Name}' already");
            }

            jobs.Enqueue(job);
            Monitor.Pulse(gate);
        }

        machine.RequestAttention();
    }

    void Live(IMachineOrigin origin, TaskCompletionSource built)
    {
        try
        {
            machine = origin.Build(this);
            MemoryBytes = machine.Config.MemoryBytes;
            Prepare(origin);
        }
        catch (Exception failure)
        {
            origin.Release();
            machine?.Dispose();
            built.SetException(failure);
            return;
        }

        built.SetResult();
        while (!isClosed)
        {
            if (state == MachineState.Running)
            {
                RunMachine();
            }
            else
            {
                TakeJob(true)?.Run();
            }
        }

        Close();
    }

    /// <summary>Runs what waits; the machine calls this between two turns.</summary>
    void RunJobs()
    {
        while (TakeJob(false) is { } job)
        {
            job.Run();
        }

        TellWithheld();
    }

    Job? TakeJob(bool wait)
    {
        lock (gate)
        {
            while (jobs.Count == 0)
            {
                if (!wait)
                {
                    return null;
                }

                Monitor.Wait(gate);
            }

            return jobs.Dequeue();
        }
    }

    void Close()
    {
        Job[] left;
        lock (gate)
        {
            isClosed = true;
            left = [.. jobs];
            jobs.Clear();
        }

        foreach (var job in left)
        {
            job.Gone();
        }

        Console.Close();
        boot?.Dispose();
        machine.Dispose();
        changed.Raise();
        gone.TrySetResult();
    }
}
