using Vmm.Platform.Interrupts;

namespace Vmm.Chipset;

/// <summary>The line of a legacy device, cut off while the HPET replaces the device.</summary>
sealed class HpetLegacyLine(IInterruptLine target) : IInterruptLine
{
    bool replaced;

    /// <summary>The line itself, for whoever replaces the device.</summary>
    public IInterruptLine Target => target;

    /// <summary>What the legacy device drives.</summary>
    public bool Level { get; private set; }

    /// <summary>The device is cut off.</summary>
    public bool Replaced
    {
        get => replaced;
        set
        {
            if (replaced != value)
            {
                replaced = value;
                target.Set(!value && Level);
            }
        }
    }

    /// <inheritdoc/>
    public void Set(bool asserted)
    {
        Level = asserted;
        if (!replaced)
        {
            target.Set(asserted);
        }
    }

    /// <summary>Takes snapshot state without driving the line.</summary>
    public void Restore(bool level, bool isReplaced)
    {
        Level = level;
        replaced = isReplaced;
    }
}
