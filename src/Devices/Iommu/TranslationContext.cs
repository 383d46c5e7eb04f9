namespace Vmm.Iommu;

/// <summary>Which stages translate a request; part of the tag of cached translations.</summary>
enum StageKind : byte
{
    SecondStage = 0,
    FirstStage = 1,
    Nested = 2,
    PassThrough = 3,
}

/// <summary>Switches that a context or PASID table entry turns on.</summary>
[Flags]
enum ContextSwitches : ushort
{
    None = 0,
    FaultProcessingDisable = 1,
    DeviceTlb = 2,
    SupervisorRequests = 4,
    ExecuteRequests = 8,
    WriteProtect = 16,
    NoExecute = 32,
    SupervisorExecutePrevention = 64,
    ExtendedAccessed = 128,
    SecondStageAccessedDirty = 256,
    SnoopedWalk = 512,
}

/// <summary>How to translate the requests of one source (legacy) or one source and PASID (scalable): a decoded, valid entry.</summary>
struct TranslationContext
{
    public ulong SecondStageRoot;
    public ulong FirstStageRoot;

    /// <summary>Stage kind, domain and, where a first stage takes part, PASID: the tag of cached translations.</summary>
    public ulong Tag;

    public uint Pasid;
    public ushort Domain;
    public ContextSwitches Switches;
    public StageKind Kind;
    public byte SecondStageLevels;
    public byte FirstStageLevels;
    public bool IsScalable;

    public readonly bool Has(ContextSwitches switches) => (Switches & switches) != 0;

    /// <summary>Input bits of the second stage.</summary>
    public readonly int SecondStageWidth => 12 + 9 * SecondStageLevels;

    public void SetTag() => Tag = TagOf(Kind, Domain, Kind is StageKind.FirstStage or StageKind.Nested ? Pasid : 0);

    /// <summary>Tag layout: kind 37:36, domain 35:20, PASID 19:0.</summary>
    public static ulong TagOf(StageKind kind, ushort domain, uint pasid) => (ulong)kind << 36 | (ulong)domain << 20 | pasid;

    public static StageKind KindOf(ulong tag) => (StageKind)(tag >> 36 & 3);

    public static ushort DomainOf(ulong tag) => (ushort)(tag >> 20);
}
