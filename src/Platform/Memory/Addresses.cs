namespace Vmm.Platform.Memory;

/// <summary>A guest-physical address, in bytes.</summary>
public readonly record struct Gpa(ulong Value)
{
    /// <summary>The address <paramref name="bytes"/> further on (wraps at 2^64).</summary>
    public static Gpa operator +(Gpa address, ulong bytes) => new(address.Value + bytes);

    /// <summary>Offset inside the 4 KiB page.</summary>
    public int PageOffset => (int)(Value & 0xFFF);

    /// <inheritdoc/>
    public override string ToString() => $"0x{Value:x}";
}

/// <summary>An address as a device issues it, before any IOMMU: in bytes.</summary>
public readonly record struct Iova(ulong Value)
{
    /// <summary>The address <paramref name="bytes"/> further on (wraps at 2^64).</summary>
    public static Iova operator +(Iova address, ulong bytes) => new(address.Value + bytes);

    /// <summary>Offset inside the 4 KiB page.</summary>
    public int PageOffset => (int)(Value & 0xFFF);

    /// <inheritdoc/>
    public override string ToString() => $"0x{Value:x}";
}
