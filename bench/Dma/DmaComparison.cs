namespace Vmm.Bench.Dma;

/// <summary>DMA with and without the IOMMU. Cases take turns in every round, so that what slows the host slows all of them.</summary>
internal static class DmaComparison
{
    const int TierPasses = 6;

    /// <summary>Runs it, prints the report and writes the file. 1 when something allocated.</summary>
    public static int Run(Options options)
    {
        using var bed = new DmaBed();
        var cases = new DmaCases(bed, options.Has("--quick") ? 10 : 1);
        var rounds = options.Number("--rounds", options.Has("--quick") ? 5 : 21, 1, 999);
        WarmUp(cases.All);
        for (var round = 0; round < rounds; round++)
        {
            foreach (var one in cases.All)
            {
                one.Sample();
            }
        }

        var text = DmaReport.Text(cases, rounds);
        Console.Write(text);
        if (options.Text("--output") is { } file)
        {
            File.WriteAllText(file, text);
        }

        cases.Dispose();
        return cases.All.Any(c => c.Allocated != 0) ? 1 : 0;
    }

    /// <summary>Fills the caches and gives the JIT time for its second tier, which starts when nothing new was compiled for 100 ms.</summary>
    static void WarmUp(IReadOnlyList<Case> cases)
    {
        for (var pass = 0; pass < TierPasses; pass++)
        {
            foreach (var one in cases)
            {
                one.WarmUp();
            }

            Thread.Sleep(200);
        }
    }
}
