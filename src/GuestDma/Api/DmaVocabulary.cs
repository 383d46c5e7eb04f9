namespace Vmm.GuestDma;

/// <summary>Which side writes a streaming buffer.</summary>
public enum DmaDirection
{
    /// <summary>Both sides.</summary>
    Bidirectional,

    /// <summary>The CPU writes, the device reads.</summary>
    ToDevice,

    /// <summary>The device writes, the CPU reads.</summary>
    FromDevice,
}

/// <summary>Wishes of a driver for one mapping.</summary>
[Flags]
public enum DmaAttributes
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>The driver synchronises itself: nothing is copied on map and unmap.</summary>
    SkipCpuSync = 1,

    /// <summary>The mapping lives long and is used often: it is never bounced.</summary>
    PersistentStreaming = 2,

    /// <summary>The mapping bypasses translation: the address is guest-physical.</summary>
    BypassIommu = 4,

    /// <summary>The caller may sleep: memory pools may grow at once.</summary>
    MaySleep = 8,

    /// <summary>Only privileged requests of the device use the mapping.</summary>
    Privileged = 16,
}

/// <summary>What a device may do with a mapped page.</summary>
[Flags]
public enum DmaProtection
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Read.</summary>
    Read = 1,

    /// <summary>Write.</summary>
    Write = 2,

    /// <summary>Both.</summary>
    ReadWrite = 3,

    /// <summary>Meant for privileged requests. Kept apart from others; a unit without that distinction ignores it.</summary>
    Privileged = 4,
}

/// <summary>Rights that a direction needs.</summary>
public static class DmaDirections
{
    /// <summary>The rights of the device.</summary>
    public static DmaProtection Protection(this DmaDirection direction, DmaAttributes attributes = DmaAttributes.None) =>
        direction switch
        {
            DmaDirection.ToDevice => DmaProtection.Read,
            DmaDirection.FromDevice => DmaProtection.Write,
            _ => DmaProtection.ReadWrite,
        } | ((attributes & DmaAttributes.Privileged) != 0 ? DmaProtection.Privileged : 0);
}
