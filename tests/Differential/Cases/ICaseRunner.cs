namespace Vmm.Differential.Cases;

/// <summary>Runs batches of cases on one processor, real or not.</summary>
internal unsafe interface ICaseRunner : IDisposable
{
    string Name { get; }

    /// <summary>Results of the last batch, one for each case.</summary>
    CaseState* Results { get; }

    /// <summary>Takes a batch: cases 0 to <see cref="CaseBatch.Count"/> - 1. It may run while the caller does something else.</summary>
    void Start(CaseBatch batch);

    /// <summary>Returns when the batch has run.</summary>
    void Finish();

    /// <summary>Runs a batch.</summary>
    void Run(CaseBatch batch)
    {
        Start(batch);
        Finish();
    }

    /// <summary>The four backing pages after the last batch, to find stray writes.</summary>
    ReadOnlySpan<byte> SandboxPages { get; }
}
