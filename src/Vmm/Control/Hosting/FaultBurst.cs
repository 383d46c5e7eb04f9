using Vmm.Api.V1;

namespace Vmm.Control.Hosting;

/// <summary>
/// Keeps a guest that faults all the time from filling the log of all machines: the first conditions of a stretch of
/// virtual time have events of their own, the others are counted in the next one. Virtual time alone decides which, so that
/// every run has the same ones.
/// </summary>
/// <param name="stretch">Virtual time of a stretch in cycles.</param>
internal sealed class FaultBurst(ulong stretch)
{
    /// <summary>Events of one stretch.</summary>
    public const int Most = 64;

    ulong begin, faults, recorded;
    int told;
    IommuFault? latest;

    /// <summary>Conditions have no event yet.</summary>
    public bool HasWithheld => faults != 0;

    /// <summary>Takes a condition; null when it has no event of its own.</summary>
    public IommuFaultsEvent? Take(IommuFault fault, ulong now)
    {
        faults++;
        recorded += fault.Recorded ? 1u : 0;
        latest = fault;
        // With several processors time may step back: a stretch is also over then.
        if (now - begin >= stretch)
        {
            (begin, told) = (now, 0);
        }

        return told++ < Most ? Flush() : null;
    }

    /// <summary>The event of what was withheld, or null.</summary>
    public IommuFaultsEvent? Flush()
    {
        if (faults == 0)
        {
            return null;
        }

        var all = new IommuFaultsEvent { Faults = faults, Recorded = recorded, Fault = latest };
        (faults, recorded, latest) = (0, 0, null);
        return all;
    }
}
