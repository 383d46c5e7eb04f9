using System.Globalization;
using Vmm.Platform.Time;

namespace Vmm.Control.Hosting;

/// <summary>The ledger at one moment.</summary>
/// <param name="Cycles">Virtual time.</param>
/// <param name="Instructions">Instructions retired.</param>
/// <param name="Image">Everything charged until then.</param>
internal sealed record LedgerMoment(ulong Cycles, ulong Instructions, LedgerImage Image);

/// <summary>Moments of a ledger that clients count from. Lives on the machine's thread and changes nothing of the machine.</summary>
internal sealed class LedgerMarks
{
    /// <summary>Marks that are kept.</summary>
    const int Limit = 64;

    readonly Queue<(string Name, LedgerMoment Moment)> marks = [];
    ulong next = 1;

    /// <summary>The moment of the last reset, or null.</summary>
    public LedgerMoment? Zero { get; private set; }

    /// <summary>Keeps a moment and names it.</summary>
    public string Mark(LedgerMoment moment)
    {
        if (marks.Count == Limit)
        {
            marks.Dequeue();
        }

        var name = "m" + next++.ToString(CultureInfo.InvariantCulture);
        marks.Enqueue((name, moment));
        return name;
    }

    /// <summary>The moment of a mark, or null when it is not kept.</summary>
    public LedgerMoment? Find(string mark) => marks.FirstOrDefault(m => m.Name == mark).Moment;

    /// <summary>Counts from this moment on.</summary>
    public void Reset(LedgerMoment moment)
    {
        Zero = moment;
        marks.Clear();
    }
}
