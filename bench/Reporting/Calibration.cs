using System.Globalization;
using System.Runtime.CompilerServices;

namespace Vmm.Bench.Reporting;

/// <summary>How fast this host's core is: figures of different hosts cannot be compared without it.</summary>
internal static class Calibration
{
    const int Steps = 200_000_000;
    const int CopyBytes = 4096, Copies = 1_000_000;

    /// <summary>Measures and says it in one line.</summary>
    public static string Line()
    {
        Chain(1000);
        var chain = Nanoseconds(() => Chain(Steps)) / Steps;
        byte[] from = new byte[CopyBytes], to = new byte[CopyBytes];
        var copy = (double)CopyBytes * Copies / Nanoseconds(() => Copy(from, to));
        return string.Create(CultureInfo.InvariantCulture, $"host: multiply-and-add chain {chain:F2} ns a step, 4 KiB copy {copy:F1} GB/s, {Environment.ProcessorCount} CPUs");
    }

    static double Nanoseconds(Action work)
    {
        var time = new Engines.ProcessorTime(Environment.ProcessId);
        var before = time.Now();
        work();
        return (time.Now() - before).Cpu.TotalNanoseconds;
    }

    /// <summary>Each step needs the result of the one before.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static ulong Chain(int steps)
    {
        var value = 1ul;
        for (var i = 0; i < steps; i++)
        {
            value = (value * 6364136223846793005) + 1442695040888963407;
        }

        return value;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static void Copy(byte[] from, byte[] to)
    {
        for (var i = 0; i < Copies; i++)
        {
            Buffer.BlockCopy(from, 0, to, 0, from.Length);
        }
    }
}
