namespace Vmm.Firmware.BuiltIn;

/// <summary>What the built-in guest is told on its command line.</summary>
public sealed record BuiltInOptions
{
    /// <summary>"quick": measure timers for 2 ms instead of 20 ms.</summary>
    public bool Quick { get; init; }

    /// <summary>"smp=N": this many processors must come up, 1 to 8; null accepts what ACPI says.</summary>
    public int? Processors { get; init; }

    /// <summary>"dma": a missing test device, IOMMU or NVMe controller is a failure and not left out.</summary>
    public bool RequireDma { get; init; }

    /// <summary>"legacy": VT-d in legacy mode also where scalable mode is offered. For the guest dma; the other one knows legacy mode only.</summary>
    public bool LegacyMode { get; init; }

    /// <summary>The command line.</summary>
    public override string ToString()
    {
        List<string> words = [];
        if (Quick)
        {
            words.Add("quick");
        }

        if (Processors is { } count)
        {
            words.Add($"smp={count}");
        }

        if (RequireDma)
        {
            words.Add("dma");
        }

        if (LegacyMode)
        {
            words.Add("legacy");
        }

        return string.Join(' ', words);
    }
}
