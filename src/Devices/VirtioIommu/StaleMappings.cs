using Vmm.Platform.Faults;
using Vmm.Platform.Snapshots;
using Vmm.Specs.Virtio;

namespace Vmm.VirtioIommu;

/// <summary>
/// Mappings that outlive the UNMAP that removed them, because a fault rule says so: what a cache would answer that missed an
/// invalidation. They come before the mappings proper, until an UNMAP names them, their domain ends, the device is reset or
/// newer ones need the place. Unlike the <see cref="TranslationCache"/> this is state.
/// </summary>
sealed class StaleMappings
{
    /// <summary>Mappings at most.</summary>
    public const int Limit = 64;

    readonly List<(uint Domain, Mapping Mapping)> kept = new(Limit);

    /// <summary>Mappings.</summary>
    public int Count => kept.Count;

    /// <summary>The stale mapping of an address.</summary>
    public bool TryFind(uint domain, ulong address, out Mapping mapping)
    {
        foreach (var (owner, found) in kept)
        {
            if (owner == domain && found.Contains(address))
            {
                mapping = found;
                return true;
            }
        }

        mapping = default;
        return false;
    }

    /// <summary>A mapping as it is used at an address: up to the next stale one, which hides what follows.</summary>
    public Mapping Cut(uint domain, ulong address, Mapping mapping)
    {
        foreach (var (owner, stale) in kept)
        {
            if (owner == domain && stale.Start > address && stale.Start <= mapping.End)
            {
                mapping = mapping with { End = stale.Start - 1 };
            }
        }

        return mapping;
    }

    /// <summary>Keeps a mapping; the oldest gives way.</summary>
    public void Add(uint domain, in Mapping mapping)
    {
        if (kept.Count == Limit)
        {
            kept.RemoveAt(0);
        }

        kept.Add((domain, mapping));
    }

    /// <summary>Lists what touches a range of a domain and another range.</summary>
    public void Collect(uint domain, ulong start, ulong end, AddressRange? only, List<Mapping> into)
    {
        foreach (var (owner, mapping) in kept)
        {
            if (owner == domain && mapping.Start <= end && start <= mapping.End && into.Count < Limit &&
                (only is not { } range || range.Touches(mapping.Start, mapping.End - mapping.Start + 1)))
            {
                into.Add(mapping);
            }
        }
    }

    /// <summary>Removes what a range of a domain touches. True when there was something.</summary>
    public bool Remove(uint domain, ulong start, ulong end) => kept.RemoveAll(k => k.Domain == domain && k.Mapping.Start <= end && start <= k.Mapping.End) != 0;

    /// <summary>Removes everything.</summary>
    public void Clear() => kept.Clear();

    public void Save(SnapshotWriter writer)
    {
        writer.U8((byte)kept.Count);
        foreach (var (domain, mapping) in kept)
        {
            writer.U32(domain);
            writer.U64(mapping.Start);
            writer.U64(mapping.End);
            writer.U64(mapping.Physical);
            writer.U8((byte)mapping.Flags);
        }
    }

    public void Load(SnapshotReader reader, DomainTable domains)
    {
        kept.Clear();
        for (var left = reader.U8(); left > 0; left--)
        {
            var id = reader.U32();
            var mapping = new Mapping(reader.U64(), reader.U64(), reader.U64(), (VirtioIommuMapFlags)reader.U8());
            if (kept.Count == Limit || domains.FindDomain(id) is not { IsBypass: false } || !domains.IsPossible(mapping))
            {
                throw reader.Bad($"domain {id} cannot have had the mapping 0x{mapping.Start:x} to 0x{mapping.End:x}");
            }

            kept.Add((id, mapping));
        }
    }
}
