namespace Vmm.Differential.Cases;

/// <summary>Runs batches of cases on one processor, real or not.</summary>
internal unsafe interface ICaseRunner : IDisposable
{
    string Name { get; }

    /// <summary>Results of the last batch, one for each case.</summary>
    CaseState* Results { get; }

    /// <summary>Runs cases 0 to <see cref="CaseBatch.Count"/> - 1.</summary>
    void Run(CaseBatch batch);

    /// <summary>The four backing pages after the last batch, to find stray writes.</summary>
    ReadOnlySpan<byte> SandboxPages { get; }
}
