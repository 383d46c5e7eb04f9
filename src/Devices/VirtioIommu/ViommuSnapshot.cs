using Vmm.Platform.Snapshots;
using Vmm.Specs.Virtio;
using L = Vmm.Specs.Virtio.VirtioIommuLayout;

namespace Vmm.VirtioIommu;

/// <content>
/// Domains, mappings, attachments, and what fault rules hold back. The cache holds nothing but mappings and is not saved; neither are counters.
/// </content>
public sealed partial class ViommuDevice
{
    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U32((uint)domains.Domains.Count());
        foreach (var domain in domains.Domains)
        {
            writer.U32(domain.Id);
            writer.Flag(domain.IsBypass);
            writer.U32((uint)domain.Mappings);
            foreach (var mapping in domains.Pool.All(domain.Root))
            {
                writer.U64(mapping.Start);
                writer.U64(mapping.End);
                writer.U64(mapping.Physical);
                writer.U8((byte)mapping.Flags);
            }
        }

        foreach (var endpoint in domains.Endpoints)
        {
            writer.Flag(endpoint.Domain != null);
            writer.U32(endpoint.Domain?.Id ?? 0);
        }

        domains.Stale.Save(writer);
        writer.U8((byte)stall);
        writer.Timer(late);
        if (stall != Stall.None)
        {
            Transport.Queues[L.RequestQueue].Save(writer, held);
        }
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        domains.Reset();
        LoadBypass(reader);
        requests.Negotiated = (VirtioIommuFeatures)Transport.Negotiated & options.Features;
        for (var left = reader.U32(); left > 0; left--)
        {
            LoadDomain(reader);
        }

        foreach (var endpoint in domains.Endpoints)
        {
            LoadAttachment(reader, endpoint);
        }

        if (domains.Domains.FirstOrDefault(d => d.Endpoints == 0) is { } empty)
        {
            throw reader.Bad($"domain {empty.Id} has no endpoint");
        }

        domains.Stale.Load(reader, domains);
        LoadStall(reader);
    }

    void LoadStall(SnapshotReader reader)
    {
        var (how, queue) = ((Stall)reader.U8(), Transport.Queues[L.RequestQueue]);
        Release();
        reader.Timer(late);
        if (!Enum.IsDefined(how) || how == Stall.UntilTimer != late.IsArmed)
        {
            throw reader.Bad($"the request queue cannot stand still like {(byte)how}");
        }

        (stall, held) = (how, how == Stall.None ? default : queue.Load(reader));
    }

    void LoadBypass(SnapshotReader reader)
    {
        var bypass = Config.Get8(L.BypassField);
        if (bypass > 1 || bypass == 1 && !options.OffersBypassConfig ||
            Config.Get64(L.PageSizeMask) != options.PageSizeMask || Config.Get64(L.InputStart) != options.InputStart || Config.Get64(L.InputEnd) != options.InputEnd)
        {
            throw reader.Bad("made by a device with another configuration");
        }

        translator.Bypass = bypass == 1;
    }

    void LoadDomain(SnapshotReader reader)
    {
        var id = reader.U32();
        var domain = domains.Restore(id, reader.Flag()) ?? throw reader.Bad($"domain {id} is one too many, out of range or there twice");
        for (var left = reader.U32(); left > 0; left--)
        {
            var mapping = new Mapping(reader.U64(), reader.U64(), reader.U64(), (VirtioIommuMapFlags)reader.U8());
            if (!domains.TryRestore(domain, mapping))
            {
                throw reader.Bad($"domain {id} cannot have the mapping 0x{mapping.Start:x} to 0x{mapping.End:x}");
            }
        }
    }

    void LoadAttachment(SnapshotReader reader, ViommuEndpoint endpoint)
    {
        var attached = reader.Flag();
        var id = reader.U32();
        if (attached)
        {
            endpoint.Domain = domains.FindDomain(id) ?? throw reader.Bad($"endpoint {endpoint.Id} is attached to domain {id}, which does not exist");
            endpoint.Domain.Endpoints++;
        }
    }
}
