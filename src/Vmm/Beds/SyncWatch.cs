using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;

namespace Vmm.Beds;

/// <summary>
/// Stands before a paravirtual unit and counts accesses through mappings that the driver took away without waiting for it:
/// what the detector of missing invalidations is for VT-d. The unit itself cannot know, as such a request has not come yet.
/// </summary>
/// <param name="unit">The unit.</param>
/// <param name="isLeaving">True when the driver has asked for the end of a device's mapping of an address, and not waited.</param>
internal sealed class SyncWatch(IDmaTranslator unit, Func<Bdf, ulong, bool> isLeaving) : IDmaTranslator
{
    const ulong PageBytes = 4096;

    uint generation;

    /// <summary>Accesses through mappings that should be gone.</summary>
    public ulong Findings { get; private set; }

    /// <inheritdoc/>
    public string Name => unit.Name;

    /// <summary>Never the same: a port keeps no translation, and every access is seen.</summary>
    public uint Generation => ++generation;

    /// <inheritdoc/>
    public bool TryTranslate(in DmaRequest request, out DmaWindow window)
    {
        if (!unit.TryTranslate(request, out window))
        {
            return false;
        }

        window = window with { Length = Math.Min(window.Length, PageBytes - (request.Address.Value & PageBytes - 1)) };
        Findings += isLeaving(request.Requester, request.Address.Value) ? 1u : 0;
        return true;
    }

    /// <inheritdoc/>
    public bool TryRemap(Bdf requester, MsiMessage message, out MsiMessage remapped) => unit.TryRemap(requester, message, out remapped);

    /// <inheritdoc/>
    public InjectedFault InjectFault(in DmaRequest request, uint reason, uint level) => unit.InjectFault(request, reason, level);

    /// <inheritdoc/>
    public InjectedFault InjectRemapFault(Bdf requester, MsiMessage message, uint reason) => unit.InjectRemapFault(requester, message, reason);
}
