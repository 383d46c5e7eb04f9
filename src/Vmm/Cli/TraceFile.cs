using System.Globalization;
using Vmm.Machine;
using Vmm.Platform.Time;

namespace Vmm.Cli;

/// <summary>One line for each event: virtual seconds, vCPU, name, details. Ends with a remark when its bytes are used up.</summary>
internal sealed class TraceFile : IEventTrace, IDisposable
{
    readonly VirtualClock clock;
    readonly StreamWriter writer;
    long left;

    TraceFile(VirtualClock clock, Stream stream, long limit)
    {
        this.clock = clock;
        writer = new(stream) { NewLine = "\n" };
        left = limit;
    }

    /// <summary>Starts tracing a machine.</summary>
    public static TraceFile Attach(VirtualMachine machine, Stream stream, long limit)
    {
        var trace = new TraceFile(machine.Clock, stream, limit);
        machine.Clock.Trace = trace;
        return trace;
    }

    /// <inheritdoc/>
    public void Write(string name, string details)
    {
        if (left <= 0)
        {
            return;
        }

        var vcpu = clock.Ledger.Current;
        var who = vcpu < 0 ? "-" : vcpu.ToString(CultureInfo.InvariantCulture);
        var nanoseconds = clock.NowNanoseconds;
        var line = string.Create(CultureInfo.InvariantCulture, $"{nanoseconds / 1_000_000_000}.{nanoseconds % 1_000_000_000:D9} {who,2} {name}: {details}");
        left -= line.Length + 1;
        writer.WriteLine(left > 0 ? line : "# the limit of this file is reached");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        clock.Trace = null;
        writer.Dispose();
    }
}
