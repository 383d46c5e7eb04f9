using System.Net;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.Control.Hosting;
using Vmm.Control.Operations;
using Vmm.Control.Services;
using Vmm.Grpc.Hosting;

namespace Vmm.Control;

/// <summary>What <c>vmm serve</c> was told.</summary>
internal sealed record ControlServerOptions
{
    /// <summary>Unix socket, or null.</summary>
    public string? Socket { get; init; }

    /// <summary>Loopback address for gRPC over TCP, or null.</summary>
    public IPEndPoint? Tcp { get; init; }

    /// <summary>What callers over TCP have to send.</summary>
    public string? Token { get; init; }

    /// <summary>Loopback address of the pages, or null.</summary>
    public IPEndPoint? Http { get; init; }

    /// <summary>Folders that clients may name files in.</summary>
    public IReadOnlyList<string> Roots { get; init; } = [];

    /// <summary>How much the server takes on.</summary>
    public ServerLimits Limits { get; init; } = new();

    /// <summary>Serve the interoperability service too.</summary>
    public bool Interop { get; init; }

    /// <summary>Sets where log lines go; null: nowhere.</summary>
    public Action<ILoggingBuilder>? Logging { get; init; }
}

/// <summary>The control plane: machines, the services that control them, and their listeners.</summary>
internal sealed class ControlServer : IAsyncDisposable
{
    readonly MachineRegistry machines;
    readonly OperationRegistry operations;
    readonly ILoggerFactory logs;

    ControlServer(ControlHost host, MachineRegistry machines, OperationRegistry operations, ILoggerFactory logs)
    {
        this.logs = logs;
        Host = host;
        this.machines = machines;
        this.operations = operations;
    }

    /// <summary>The listeners.</summary>
    public ControlHost Host { get; }

    /// <summary>Starts listening.</summary>
    /// <exception cref="ArgumentException">The options do not go together.</exception>
    /// <exception cref="IOException">An address is taken.</exception>
    public static async Task<ControlServer> StartAsync(ControlServerOptions options)
    {
        var epoch = Guid.NewGuid().ToString("n")[..12];
        var events = new EventLog(options.Limits.KeptEvents, epoch);
        var operations = new OperationRegistry(epoch, options.Limits.Operations);
        var machines = new MachineRegistry(options.Limits, events);
        var slots = new WatcherSlots(options.Limits.Watchers);
        var paths = new PathPolicy(options.Roots);
        var logs = options.Logging == null ? (ILoggerFactory)NullLoggerFactory.Instance : LoggerFactory.Create(options.Logging);
        var metrics = new Metrics(machines, slots);
        var host = await ControlHost.StartAsync(new()
        {
            SocketPath = options.Socket,
            Tcp = options.Tcp,
            Token = options.Token,
            Http = options.Http,
            Interop = options.Interop,
            Observer = new CallLog(metrics, logs.CreateLogger("Vmm.Control")),
            Logging = options.Logging,
            Pages = new Dictionary<string, PageWriter> { ["/metrics"] = metrics.WriteAsync },
            Services =
            [
                new MachineService(machines, paths).Methods,
                new ConsoleService(machines, slots).Methods,
                new MemoryService(machines).Methods,
                new SnapshotService(machines, paths).Methods,
                new DeviceService(machines).Methods,
                new IommuService(machines).Methods,
                new FaultService(machines).Methods,
                new MachineCheckService(machines).Methods,
                new LedgerService(machines).Methods,
                new EventService(machines, slots).Methods,
                new CapabilityService(machines).Methods,
                new MeasurementService(operations).Methods,
                new OperationsService(operations).Methods,
            ],
        }).ConfigureAwait(false);
        return new(host, machines, operations, logs);
    }

    /// <summary>Health tells it first, running calls have their grace, then the machines end.</summary>
    public async ValueTask DisposeAsync()
    {
        await Host.DisposeAsync().ConfigureAwait(false);
        await operations.DrainAsync().ConfigureAwait(false);
        await machines.DrainAsync().ConfigureAwait(false);
        machines.Dispose();
        logs.Dispose();
    }
}
