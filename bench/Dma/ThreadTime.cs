using System.Runtime.InteropServices;

namespace Vmm.Bench.Dma;

/// <summary>CPU clock of the calling thread (CLOCK_THREAD_CPUTIME_ID, POSIX.1): other programs and the JIT's threads do not count.</summary>
internal static class ThreadTime
{
    const int ThreadClock = 3;

    /// <summary>Nanoseconds that this thread has run.</summary>
    public static long Nanoseconds() => clock_gettime(ThreadClock, out var time) == 0
        ? time.Seconds * 1_000_000_000 + time.Nanoseconds : throw new PlatformNotSupportedException("no thread CPU clock");

    [DllImport("libc")]
    static extern int clock_gettime(int clock, out Timespec time);

    [StructLayout(LayoutKind.Sequential)]
    struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
