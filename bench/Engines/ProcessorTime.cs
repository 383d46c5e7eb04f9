using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Vmm.Bench.Engines;

/// <summary>A moment on the wall clock and on a process's CPU clock.</summary>
/// <param name="Wall">Elapsed real time.</param>
/// <param name="Cpu">CPU time of all the process's threads, ended ones included.</param>
internal readonly record struct Moment(TimeSpan Wall, TimeSpan Cpu)
{
    public static Moment operator -(Moment a, Moment b) => new(a.Wall - b.Wall, a.Cpu - b.Cpu);
}

/// <summary>Reads the CPU clock of a process (clock_getcpuclockid, POSIX.1): nanoseconds, up to date while it runs.</summary>
internal sealed class ProcessorTime
{
    readonly long started = System.Diagnostics.Stopwatch.GetTimestamp();
    readonly int clock;

    /// <summary>Opens the clock of a process.</summary>
    public ProcessorTime(int process)
    {
        var error = clock_getcpuclockid(process, out clock);
        if (error != 0)
        {
            throw new Win32Exception(error);
        }
    }

    /// <summary>Now. After the process has ended its CPU time is zero.</summary>
    public Moment Now()
    {
        var cpu = clock_gettime(clock, out var time) == 0 ? new TimeSpan(time.Seconds * TimeSpan.TicksPerSecond + time.Nanoseconds / 100) : default;
        return new(System.Diagnostics.Stopwatch.GetElapsedTime(started), cpu);
    }

    [DllImport("libc")]
    static extern int clock_getcpuclockid(int process, out int clock);

    [DllImport("libc")]
    static extern int clock_gettime(int clock, out Timespec time);

    [StructLayout(LayoutKind.Sequential)]
    struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
