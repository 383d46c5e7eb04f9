namespace Vmm.Bench.Dma;

/// <summary>One thing that is measured.</summary>
/// <param name="name">Name in reports.</param>
/// <param name="operations">Operations in a sample.</param>
/// <param name="work">Does that many; returns how many succeeded, so that refusals are never taken for speed.</param>
/// <param name="settling">Operations before each sample, not measured: they put back what other cases drove out of the caches.</param>
internal sealed class Case(string name, int operations, Func<int, int> work, int settling = 0)
{
    readonly List<double> samples = [];

    /// <summary>Name in reports.</summary>
    public string Name { get; } = name;

    /// <summary>Bytes that all samples together allocated.</summary>
    public long Allocated { get; private set; }

    /// <summary>Median CPU time of an operation in nanoseconds.</summary>
    public double Nanoseconds => Median(samples);

    /// <summary>Runs without measuring; the clock is read too, so that its first use does not fall into a sample.</summary>
    public void WarmUp()
    {
        Run(operations);
        ThreadTime.Nanoseconds();
    }

    /// <summary>Takes a sample.</summary>
    public void Sample()
    {
        Run(settling);
        var bytes = GC.GetAllocatedBytesForCurrentThread();
        var start = ThreadTime.Nanoseconds();
        Run(operations);
        var time = ThreadTime.Nanoseconds() - start;
        Allocated += GC.GetAllocatedBytesForCurrentThread() - bytes;
        samples.Add((double)time / operations);
    }

    /// <summary>Median over the rounds of this one's time over the other's: what slows the host slows both.</summary>
    public double Over(Case other) => Median([.. samples.Zip(other.samples, static (a, b) => a / b)]);

    /// <summary>Standard error of that median: of normal samples 1.2533 of the mean's, whose deviation is the quartiles' distance over 1.349.</summary>
    public double ErrorOver(Case other)
    {
        var ratios = samples.Zip(other.samples, static (a, b) => a / b).Order().ToArray();
        return 1.2533 * (ratios[ratios.Length * 3 / 4] - ratios[ratios.Length / 4]) / 1.349 / Math.Sqrt(ratios.Length);
    }

    void Run(int count)
    {
        var good = work(count);
        if (good != count)
        {
            throw new InvalidOperationException($"{Name}: {count - good} of {count} operations failed");
        }
    }

    static double Median(List<double> values)
    {
        var sorted = values.Order().ToArray();
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
