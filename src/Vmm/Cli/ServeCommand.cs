using System.CommandLine;
using System.Net;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Vmm.Control;

namespace Vmm.Cli;

/// <summary><c>vmm serve</c>: machines for clients of the API.</summary>
internal static class ServeCommand
{
    /// <summary>Where the socket is when nothing else is said.</summary>
    public static string DefaultSocket => Path.Combine(
        Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } folder ? folder : Path.GetTempPath(), "vmm.sock");

    /// <summary>Builds the command.</summary>
    public static Command Create()
    {
        var socket = new Option<string?>("--socket") { Description = $"Unix socket for gRPC; without any listener {DefaultSocket}" };
        var tcp = new Option<int?>("--tcp") { Description = "port on 127.0.0.1 for gRPC (0: any); needs --token-file" };
        var tokenFile = new Option<string?>("--token-file") { Description = "file with the token that callers over TCP must send" };
        var http = new Option<int?>("--http") { Description = "port on 127.0.0.1 for /metrics and /healthz (0: any)" };
        var root = new Option<string[]>("--root") { Description = "folder that clients may name files in; may be given several times" };
        var machines = new Option<int>("--max-machines") { Description = "machines at once", DefaultValueFactory = _ => new Control.Hosting.ServerLimits().Machines };
        var memory = new Option<string>("--max-memory") { Description = "RAM of all machines together", DefaultValueFactory = _ => "64G" };
        var watchers = new Option<int>("--max-watchers") { Description = "event and console streams at once", DefaultValueFactory = _ => new Control.Hosting.ServerLimits().Watchers };
        var operations = new Option<int>("--max-operations") { Description = "measurements at once, each with a processor and up to 1.5 GiB", DefaultValueFactory = _ => new Control.Hosting.ServerLimits().Operations };
        var interop = new Option<bool>("--interop") { Description = "serve grpc.testing.TestService too" };
        var level = new Option<LogLevel>("--log-level") { Description = "least level of log lines", DefaultValueFactory = _ => LogLevel.Information };
        var command = new Command("serve", "Serve machines to clients of the gRPC API") { socket, tcp, tokenFile, http, root, machines, memory, watchers, operations, interop, level };
        command.SetAction(result => Serve(new()
        {
            Socket = result.GetValue(socket) ?? (result.GetValue(tcp) == null ? DefaultSocket : null),
            Tcp = Loopback(result.GetValue(tcp), "--tcp"),
            Token = Token(result.GetValue(tokenFile), result.GetValue(tcp) != null),
            Http = Loopback(result.GetValue(http), "--http"),
            Roots = result.GetValue(root) ?? [],
            Limits = new()
            {
                Machines = result.GetValue(machines) is >= 1 and <= 10_000 and var m ? m : throw new UsageException("--max-machines: 1 to 10000"),
                MemoryBytes = OptionText.Size("--max-memory", result.GetValue(memory)!),
                Operations = result.GetValue(operations) is >= 0 and <= 64 and var o ? o : throw new UsageException("--max-operations: 0 to 64"),
                Watchers = result.GetValue(watchers) is >= 1 and <= 100_000 and var w ? w : throw new UsageException("--max-watchers: 1 to 100000"),
            },
            Interop = result.GetValue(interop),
            Logging = logging => logging.AddJsonConsole(o => o.TimestampFormat = "O").SetMinimumLevel(result.GetValue(level)).AddFilter("Microsoft", LogLevel.Warning),
        }));
        return command;
    }

    static IPEndPoint? Loopback(int? port, string option) => port switch
    {
        null => null,
        >= 0 and <= 65535 => new(IPAddress.Loopback, port.Value),
        _ => throw new UsageException($"{option}: {port} is not a port"),
    };

    static string? Token(string? file, bool isNeeded)
    {
        if (file == null)
        {
            return isNeeded ? throw new UsageException("--tcp needs --token-file") : null;
        }

        try
        {
            var token = File.ReadAllText(file).Trim();
            return token.Length is >= 16 and <= 1024 && token.All(c => c is > ' ' and <= '~')
                ? token : throw new UsageException("--token-file: 16 to 1024 printable characters without spaces are needed");
        }
        catch (Exception bad) when (bad is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--token-file: {bad.Message}");
        }
    }

    static int Serve(ControlServerOptions options)
    {
        using var stop = new ManualResetEventSlim();
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, End);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, End);
        ControlServer server;
        try
        {
            server = ControlServer.StartAsync(options).GetAwaiter().GetResult();
        }
        catch (Exception bad) when (bad is ArgumentException or IOException or UnauthorizedAccessException or System.Net.Sockets.SocketException)
        {
            throw new UsageException($"serve: {bad.Message}");
        }

        Console.Error.WriteLine($"vmm: serving on {string.Join(", ", Addresses(options, server))}");
        stop.Wait();
        server.DisposeAsync().AsTask().GetAwaiter().GetResult();
        return ExitCode.Pass;

        void End(PosixSignalContext signal)
        {
            signal.Cancel = true;
            stop.Set();
        }
    }

    static IEnumerable<string> Addresses(ControlServerOptions options, ControlServer server)
    {
        if (options.Socket != null)
        {
            yield return $"unix:{options.Socket}";
        }

        if (options.Tcp != null)
        {
            yield return $"http://127.0.0.1:{server.Host.TcpPort}";
        }

        if (options.Http != null)
        {
            yield return $"pages http://127.0.0.1:{server.Host.HttpPort}";
        }
    }
}
