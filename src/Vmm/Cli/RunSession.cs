using System.Net.Sockets;
using Vmm.Firmware;
using Vmm.Machine;

namespace Vmm.Cli;

/// <summary>One <c>vmm run</c>: builds the machine, boots, runs, reports.</summary>
internal sealed class RunSession(RunOptions options) : IDisposable
{
    const string PanicText = "Kernel panic - not syncing";

    readonly ConsolePort console = new();
    readonly List<IDisposable> open = [];
    VirtualMachine machine = null!;
    ConsoleScript? script;
    CompareOption.Recording? recording;
    bool panicked, passed, timedOut;
    long started;

    /// <summary>Runs to the end and returns the exit code.</summary>
    public int Run()
    {
        var terminal = new Terminal();
        try
        {
            Build();
            foreach (var text in options.MachineChecks)
            {
                MachineCheckOption.Inject(machine, text);
            }

            Connect(terminal);
            if (options.Trace is { } trace)
            {
                open.Add(TraceFile.Attach(machine, Open("--trace", trace.Path, FileMode.Create, FileAccess.Write), trace.Limit));
            }

            if (options.Compare is { } compare)
            {
                recording = options.Trace == null ? compare.Attach(machine, console) : throw new UsageException("--compare-dma: not together with --trace");
            }

            using var deadline = options.Timeout is { } limit ? new Timer(_ => TimeOut(), null, limit, System.Threading.Timeout.InfiniteTimeSpan) : null;
            started = System.Diagnostics.Stopwatch.GetTimestamp();
            var outcome = RunMachine();
            var host = System.Diagnostics.Stopwatch.GetElapsedTime(started);
            var code = Judge(outcome);
            // The terminal first: the report is for a screen that is not raw any more.
            terminal.Dispose();
            Report(outcome, code, host);
            Console.Error.Write(recording?.Report());
            return code;
        }
        finally
        {
            terminal.Dispose();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var item in open)
        {
            item.Dispose();
        }

        open.Clear();
        machine?.Dispose();
    }

    void TimeOut()
    {
        timedOut = true;
        machine.RequestStop();
    }

    void Build()
    {
        if (options.Restore != null)
        {
            machine = IommuCommand.Restored(options.Restore, options.Machine, console);
            return;
        }

        machine = new(options.Machine, console);
        machine.Boot(options.Boot);
    }

    void Connect(Terminal terminal)
    {
        var colon = options.Serial.IndexOf(':', StringComparison.Ordinal);
        var kind = colon < 0 ? options.Serial : options.Serial[..colon];
        var path = colon < 0 ? "" : options.Serial[(colon + 1)..];
        switch (kind)
        {
            case "stdio":
                ConnectStandard(terminal);
                break;
            case "none":
                break;
            case "file" when path.Length != 0:
                var file = Open("--serial", path, FileMode.Create, FileAccess.Write);
                open.Add(file);
                console.AddSink(file);
                break;
            case "unix" when path.Length != 0:
                ConnectSocket(path);
                break;
            default:
                throw new UsageException($"--serial: '{options.Serial}' is not stdio, none, file:PATH or unix:PATH");
        }

        if ((options.ExitOn & ExitOn.Panic) != 0)
        {
            console.Watch(line => StopOn(line, PanicText, ref panicked));
        }

        if ((options.ExitOn & ExitOn.Pass) != 0 && options.PassMarker is { } marker)
        {
            console.Watch(line => StopOn(line, marker, ref passed));
        }

        if (options.Script != null)
        {
            var lines = System.Text.Encoding.UTF8.GetString(ImageFile.Read(options.Script, "script", 1 << 20)).Split('\n').Select(l => l.TrimEnd('\r')).ToArray();
            script = ConsoleScript.Parse(options.Script, lines, bytes => machine.OfferInput(bytes));
            console.Watch(script.Seen);
        }
    }

    void StopOn(string line, string text, ref bool seen)
    {
        if (!seen && line.Contains(text, StringComparison.Ordinal))
        {
            seen = true;
        }

        if (seen)
        {
            machine.RequestStop();
        }
    }

    void ConnectStandard(Terminal terminal)
    {
        console.AddSink(Console.OpenStandardOutput());
        var interactive = Terminal.IsInteractive;
        if (options.Script != null || (!interactive && !Console.IsInputRedirected))
        {
            return;
        }

        if (interactive)
        {
            terminal.EnterRaw();
            machine.ExpectsInput = true;
            machine.IdleUntil = WaitInRealTime;
            Console.Error.Write("vmm: Ctrl-A x ends the machine\r\n");
        }

        var input = Console.OpenStandardInput();
        StartThread("console input", () => Terminal.Pump(input, bytes => machine.OfferInput(bytes), machine.RequestStop, interactive));
    }

    /// <summary>A machine that somebody types at idles in real time, but wakes for input.</summary>
    void WaitInRealTime(ulong due)
    {
        var virtualMilliseconds = machine.Clock.CyclesToNanoseconds(due) / 1_000_000;
        var hostMilliseconds = (ulong)System.Diagnostics.Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        if (virtualMilliseconds > hostMilliseconds)
        {
            machine.AwaitInput((int)Math.Min(virtualMilliseconds - hostMilliseconds, 1000));
        }
    }

    void ConnectSocket(string path)
    {
        if (File.Exists(path))
        {
            throw new UsageException($"--serial: {path} exists already");
        }

        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        open.Add(listener);
        try
        {
            listener.Bind(new UnixDomainSocketEndPoint(path));
            listener.Listen(1);
        }
        catch (Exception bad) when (bad is SocketException or ArgumentException)
        {
            throw new UsageException($"--serial: {path}: {bad.Message}");
        }

        Console.Error.WriteLine($"vmm: waiting for a client on {path}");
        var stream = new NetworkStream(listener.Accept(), true);
        File.Delete(path);
        open.Add(stream);
        console.AddSink(stream);
        machine.ExpectsInput = true;
        StartThread("console socket", () => Terminal.Pump(stream, bytes => machine.OfferInput(bytes), machine.RequestStop, false));
    }

    static void StartThread(string name, Action body) => new Thread(() =>
    {
        try
        {
            body();
        }
        catch (Exception gone) when (gone is IOException or ObjectDisposedException)
        {
            // The other end went away: the machine goes on without input.
        }
    })
    { IsBackground = true, Name = name }.Start();

    static FileStream Open(string option, string path, FileMode mode, FileAccess access)
    {
        try
        {
            return new(path, mode, access);
        }
        catch (Exception bad) when (bad is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new UsageException($"{option}: {path}: {bad.Message}");
        }
    }

    RunOutcome RunMachine()
    {
        var until = Cycles(options.VirtualTimeout);
        if (options.Save != null && options.SaveAt is { } at)
        {
            var early = machine.Run(Math.Min(Cycles(at), until));
            if (early.Cause == StopCause.VirtualTimeout && Cycles(at) < until)
            {
                using var file = Open("--save", options.Save, FileMode.Create, FileAccess.Write);
                SnapshotFile.Save(machine, file);
                return new(StopCause.Requested, $"snapshot written to {options.Save}");
            }

            return early;
        }

        using var boot = (options.ExitOn & ExitOn.Reset) == 0 ? machine.Freeze() : null;
        while (true)
        {
            var outcome = machine.Run(until);
            if (outcome.Cause != StopCause.Reset || boot == null)
            {
                return outcome;
            }

            machine.WarmReset(boot);
        }
    }

    ulong Cycles(TimeSpan? time) => time is { } t ? (ulong)(t.TotalSeconds * machine.Clock.Hertz) : ulong.MaxValue;

    int Judge(RunOutcome outcome) => outcome.Cause switch
    {
        StopCause.PowerOff => panicked ? ExitCode.GuestCrashed : ScriptCode(ExitCode.Pass),
        StopCause.Reset => panicked ? ExitCode.GuestCrashed : ExitCode.Pass,
        StopCause.DebugExit => options.QemuExit ? (int)(outcome.Value << 1 | 1) & 0xFF : outcome.Value == 0 ? ExitCode.Pass : ExitCode.GuestFailed,
        StopCause.Crash or StopCause.Stuck or StopCause.Caterr or StopCause.EntryFailure => ExitCode.GuestCrashed,
        StopCause.VirtualTimeout or StopCause.InstructionLimit => ExitCode.Timeout,
        _ => panicked ? ExitCode.GuestCrashed : timedOut ? ExitCode.Timeout : ScriptCode(ExitCode.Pass),
    };

    int ScriptCode(int otherwise) => script is { IsDone: false } ? ExitCode.GuestFailed : otherwise;

    void Report(RunOutcome outcome, int code, TimeSpan host)
    {
        if (panicked)
        {
            outcome = outcome with { Detail = "the guest's kernel panicked" };
        }
        else if (timedOut)
        {
            outcome = outcome with { Detail = $"host time limit of {options.Timeout!.Value.TotalSeconds} s reached" };
        }
        else if (passed)
        {
            outcome = outcome with { Detail = $"the console showed '{options.PassMarker}'" };
        }

        if (script is { IsDone: false })
        {
            outcome = outcome with { Detail = $"{outcome.Detail}; the script still waits for '{script.Waiting}'" };
        }

        if (options.Quiet && options.Json == null)
        {
            return;
        }

        var report = new RunReport(machine, outcome, code, host);
        if (!options.Quiet)
        {
            Console.Error.Write("\n" + report.Text(code is ExitCode.GuestCrashed or ExitCode.Timeout));
        }

        if (options.Json != null)
        {
            using var file = Open("--json", options.Json, FileMode.Create, FileAccess.Write);
            file.Write(System.Text.Encoding.UTF8.GetBytes(report.Json() + "\n"));
        }
    }
}
