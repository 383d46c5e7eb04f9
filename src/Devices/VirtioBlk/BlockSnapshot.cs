using Vmm.Platform.Snapshots;
using Vmm.Specs.Virtio;

namespace Vmm.VirtioBlk;

/// <content>State of the device behind the transport. The backend is not part of it.</content>
public sealed partial class BlockDevice
{
    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U64(features);
        media.Save(writer);
        pending.Save(writer, SaveRequest);
        writer.Timer(timer);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        features = reader.U64();
        Config.SetWriteMask(VirtioBlkConfig.Writeback, (features & VirtioBlkFeature.ConfigWce) != 0 ? 1u : 0u);
        media.Load(reader);
        pending.Load(reader, LoadRequest);
        reader.Timer(timer);
    }

    void SaveRequest(SnapshotWriter writer, Request request)
    {
        writer.U16((ushort)request.Queue);
        Transport.Queues[request.Queue].Save(writer, request.Buffer);
        writer.U32(request.Type);
        writer.U64(request.Sector);
        writer.U64(request.Done);
    }

    Request LoadRequest(SnapshotReader reader)
    {
        var index = reader.U16();
        if (index >= Transport.Queues.Count)
        {
            throw reader.Bad($"a request in flight names queue {index}");
        }

        return new(index, Transport.Queues[index].Load(reader), reader.U32(), reader.U64(), reader.U64());
    }
}
