using Vmm.Platform.Snapshots;
using Vmm.Specs.Virtio;

namespace Vmm.Virtio;

/// <content>The state of transport, queues and device as one section; the function saves itself.</content>
public sealed partial class VirtioPci
{
    /// <inheritdoc/>
    public string SectionName => identity.Name;

    /// <inheritdoc/>
    public ushort SectionVersion => 3;

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        common.Save(writer);
        device.Config.Save(writer);
        writer.U8((byte)Status);
        writer.U64(driverFeatures);
        writer.Flag(acceptsUnknown);
        writer.U8(generation);
        writer.Flag(configIsNew);
        writer.U16(configVector);
        writer.U8(isr);
        writer.U8((byte)Fault);
        writer.U16((ushort)FaultQueue);
        foreach (var queue in queues)
        {
            queue.Save(writer);
        }

        writer.Timer(resume);
        device.Save(writer);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        try
        {
            LoadState(reader);
        }
        catch (SnapshotException)
        {
            // Half a state is worse than none.
            ResetDevice();
            throw;
        }
    }

    void LoadState(SnapshotReader reader)
    {
        common.Load(reader);
        device.Config.Load(reader);
        Status = (VirtioStatus)reader.U8();
        driverFeatures = reader.U64();
        acceptsUnknown = reader.Flag();
        if ((Negotiated & ~Offered) != 0)
        {
            throw reader.Bad($"features 0x{Negotiated:x} are not offered");
        }

        generation = reader.U8();
        configIsNew = reader.Flag();
        configVector = reader.U16();
        isr = reader.U8();
        (Fault, FaultQueue) = ((VirtioFault)reader.U8(), (short)reader.U16());
        foreach (var queue in queues)
        {
            queue.LoadState(reader);
            CheckVector(reader, queue.Vector);
        }

        CheckVector(reader, configVector);
        reader.Timer(resume);
        device.Load(reader);
        ShowCommon();
    }

    void CheckVector(SnapshotReader reader, ushort vector)
    {
        if (vector >= VectorCount && vector != VirtioCommon.NoVector)
        {
            throw reader.Bad($"vector {vector} is not there");
        }
    }
}
