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
        writer.U64(sequence);
        writer.U32((uint)pending.Count);
        foreach (var (request, (due, order)) in pending.UnorderedItems.OrderBy(static i => i.Priority))
        {
            writer.U16((ushort)request.Queue);
            Transport.Queues[request.Queue].Save(writer, request.Buffer);
            writer.U32(request.Type);
            writer.U64(request.Sector);
            writer.U64(request.Done);
            writer.U64(due);
            writer.U64(order);
        }

        writer.Timer(timer);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        features = reader.U64();
        sequence = reader.U64();
        Config.SetWriteMask(VirtioBlkConfig.Writeback, (features & VirtioBlkFeature.ConfigWce) != 0 ? 1u : 0u);
        pending.Clear();
        for (var left = reader.U32(); left > 0; left--)
        {
            var index = reader.U16();
            if (index >= Transport.Queues.Count)
            {
                throw reader.Bad($"a request in flight names queue {index}");
            }

            var buffer = Transport.Queues[index].Load(reader);
            pending.Enqueue(new(index, buffer, reader.U32(), reader.U64(), reader.U64()), (reader.U64(), reader.U64()));
        }

        reader.Timer(timer);
    }
}
