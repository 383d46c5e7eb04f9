using System.Globalization;
using Vmm.Api.V1;
using Vmm.Machine;

namespace Vmm.Control.Hosting;

/// <summary>How much a server takes on.</summary>
internal sealed record ServerLimits
{
    /// <summary>Machines at once.</summary>
    public int Machines { get; init; } = 256;

    /// <summary>RAM of all machines together in bytes, counted as if none shared any.</summary>
    public ulong MemoryBytes { get; init; } = 64ul << 30;

    /// <summary>Event and console streams at once.</summary>
    public int Watchers { get; init; } = 1000;

    /// <summary>Long-running operations at once; each is a thread and up to 1.5 GiB of memory.</summary>
    public int Operations { get; init; } = 2;

    /// <summary>Events kept for clients that come back.</summary>
    public int KeptEvents { get; init; } = 16384;
}

/// <summary>All machines of a server by name.</summary>
internal sealed class MachineRegistry : IDisposable
{
    readonly Timer nudges;

    /// <param name="limits">How much the server takes on.</param>
    /// <param name="events">Takes the events of all machines.</param>
    public MachineRegistry(ServerLimits limits, EventLog events)
    {
        Limits = limits;
        Events = events;
        nudges = new(_ => NudgeAll(), null, NudgeMilliseconds, NudgeMilliseconds);
    }

    /// <summary>Host time between two looks at what running machines have to report.</summary>
    const int NudgeMilliseconds = 50;

    readonly Lock gate = new();
    readonly SortedDictionary<string, MachineHost?> machines = new(StringComparer.Ordinal);
    ulong reserved, nextName = 1;
    bool isDraining;

    /// <summary>How much the server takes on.</summary>
    public ServerLimits Limits { get; }

    /// <summary>Events of all machines.</summary>
    public EventLog Events { get; }

    /// <summary>The machine of a name.</summary>
    /// <exception cref="Grpc.RpcException">NOT_FOUND.</exception>
    public MachineHost Get(string name)
    {
        lock (gate)
        {
            return machines.TryGetValue(name, out var host) && host != null ? host : throw Errors.NotFound("machine", name);
        }
    }

    /// <summary>Machines after a name, in order.</summary>
    public MachineHost[] After(string name, int count)
    {
        lock (gate)
        {
            return [.. machines.Where(m => string.CompareOrdinal(m.Key, name) > 0 && m.Value != null).Take(count).Select(m => m.Value!)];
        }
    }

    /// <summary>Builds a machine under a name, or under one that is chosen when the name is empty.</summary>
    /// <exception cref="Grpc.RpcException">The name is taken, a limit is reached, or the server is about to end.</exception>
    public async Task<MachineHost> AddAsync(string name, MachineSpec spec, ulong memoryBytes, IMachineOrigin origin)
    {
        try
        {
            name = Reserve(name, memoryBytes);
        }
        catch
        {
            origin.Release();
            throw;
        }

        try
        {
            var host = await MachineHost.CreateAsync(name, spec, Events, origin).ConfigureAwait(false);
            lock (gate)
            {
                machines[name] = host;
            }

            _ = host.Gone.ContinueWith(_ => Forget(name, memoryBytes), TaskScheduler.Default);
            return host;
        }
        catch
        {
            Forget(name, memoryBytes);
            throw;
        }
    }

    void NudgeAll()
    {
        foreach (var host in After("", int.MaxValue))
        {
            host.Nudge();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => nudges.Dispose();

    string Reserve(string name, ulong memoryBytes)
    {
        lock (gate)
        {
            if (isDraining)
            {
                throw Errors.Draining();
            }

            while (name.Length == 0)
            {
                var chosen = "machine-" + nextName++.ToString(CultureInfo.InvariantCulture);
                name = machines.ContainsKey(chosen) ? "" : chosen;
            }

            if (machines.ContainsKey(name))
            {
                throw Errors.Exists("machine", name);
            }

            if (machines.Count >= Limits.Machines)
            {
                throw Errors.Exhausted("machines", $"{Limits.Machines} machines exist already");
            }

            if (memoryBytes > Limits.MemoryBytes - reserved)
            {
                throw Errors.Exhausted("memory", $"{memoryBytes} bytes of RAM are more than the {Limits.MemoryBytes - reserved} that are left");
            }

            reserved += memoryBytes;
            machines.Add(name, null);
            return name;
        }
    }

    void Forget(string name, ulong memoryBytes)
    {
        lock (gate)
        {
            if (machines.Remove(name))
            {
                reserved -= memoryBytes;
            }
        }
    }

    /// <summary>Takes no new machines, ends those there are, and waits until they are gone.</summary>
    public async Task DrainAsync()
    {
        MachineHost[] all;
        lock (gate)
        {
            isDraining = true;
            all = [.. machines.Values.OfType<MachineHost>()];
        }

        foreach (var host in all)
        {
            try
            {
                await host.InvokeAsync(_ => { host.Delete(); return 0; }, CancellationToken.None).ConfigureAwait(false);
            }
            catch (Grpc.RpcException)
            {
                // Gone already.
            }
        }

        await Task.WhenAll(all.Select(h => h.Gone)).ConfigureAwait(false);
    }

    /// <summary>RAM of all machines in bytes, and how many there are.</summary>
    public (int Machines, ulong MemoryBytes) Use
    {
        get
        {
            lock (gate)
            {
                return (machines.Count, reserved);
            }
        }
    }
}
