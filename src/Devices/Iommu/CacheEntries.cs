using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>A cached context entry, legacy or scalable, or in caching mode the condition that reading it met.</summary>
struct ContextCacheEntry
{
    /// <summary>Lower 128 bits of the entry.</summary>
    public ulong Low;

    public ulong High;

    /// <summary>Legacy mode: decoded.</summary>
    public TranslationContext Decoded;

    public ushort Source;

    /// <summary>Legacy mode: domain of the entry; 0 for conditions (VT-d §6.1).</summary>
    public ushort Domain;

    public FaultReason Reason;

    public readonly ulong Key => Source;
}

/// <summary>A cached PASID table entry, or in caching mode the condition that reading it met.</summary>
struct PasidCacheEntry
{
    public ulong Q0;
    public ulong Q1;
    public ulong Q2;
    public TranslationContext Decoded;
    public ushort Source;

    /// <summary>Domain of the entry; 0 for conditions.</summary>
    public ushort Domain;

    public uint Pasid;
    public FaultReason Reason;

    /// <summary>FPD of an entry on the way was set.</summary>
    public bool Suppressed;

    public readonly ulong Key => KeyOf(Source, Pasid);

    public static ulong KeyOf(ushort source, uint pasid) => (ulong)source << 20 | pasid;
}

/// <summary>A cached interrupt remapping entry, or in caching mode the condition that reading it met.</summary>
struct InterruptCacheEntry
{
    public ulong Low;
    public ulong High;
    public int Index;
    public FaultReason Reason;
}
