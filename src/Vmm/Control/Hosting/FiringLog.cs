using Vmm.Api.V1;

namespace Vmm.Control.Hosting;

/// <summary>The latest firings of a machine's fault rules. Lives on the machine's thread.</summary>
internal sealed class FiringLog
{
    /// <summary>Firings that are kept.</summary>
    const int Limit = 10_000;

    readonly Queue<FaultFiring> kept = [];

    /// <summary>Firings that were dropped to make room.</summary>
    public ulong Forgotten { get; private set; }

    /// <summary>Adds one.</summary>
    public void Add(FaultFiring firing)
    {
        if (kept.Count == Limit)
        {
            kept.Dequeue();
            Forgotten++;
        }

        kept.Enqueue(firing);
    }

    /// <summary>Firings of a rule, or of all with an empty name, after a number; oldest first.</summary>
    public IEnumerable<FaultFiring> Find(string rule, ulong after) => kept.Where(f => f.Number > after && (rule.Length == 0 || f.Rule == rule));
}
