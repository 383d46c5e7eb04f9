namespace Vmm.Platform.Dma;

/// <summary>A request that a translator blocked, for those who watch. Watching changes nothing that a guest can observe.</summary>
/// <param name="Requester">Who made it.</param>
/// <param name="Reason">Why, as a number of the translator's kind.</param>
/// <param name="Address">Where to; for a remapped interrupt its index.</param>
/// <param name="Access">What it was; nothing for an interrupt or a page request.</param>
/// <param name="Pasid">Its PASID, if it had one.</param>
/// <param name="IsRecorded">Software is told: a record or a report was written.</param>
public readonly record struct BlockedRequest(Bdf Requester, uint Reason, ulong Address, DmaAccess Access, uint? Pasid, bool IsRecorded);
