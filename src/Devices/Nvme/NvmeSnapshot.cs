using System.Runtime.InteropServices;
using Vmm.Platform.Snapshots;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>Saves the controller behind the function; the function saves itself, and the backends are not part of it.</summary>
public sealed partial class NvmeController : ISnapshotPart
{
    /// <inheritdoc/>
    public string SectionName => Function.Name;

    /// <inheritdoc/>
    public ushort SectionVersion => 3;

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U8((byte)submissions.Length);
        writer.U8((byte)VectorCount);
        writer.U8((byte)namespaces.Length);
        registers.Save(writer);
        writer.U32(controllerConfig.Raw);
        writer.U64(pageSize);
        writer.U8((byte)nextQueue);
        for (var i = 0; i < submissions.Length; i++)
        {
            submissions[i].Save(writer);
            completions[i].Save(writer);
        }

        inFlight.Save(writer, SaveFetched);
        media.Save(writer);
        SaveInterrupts(writer);
        SaveFeatures(writer);
        SaveEvents(writer);
        foreach (var space in namespaces)
        {
            space.Save(writer);
        }

        writer.Flag(shadow.Enabled);
        writer.U64(shadow.Doorbells);
        writer.U64(shadow.EventIndexes);
        writer.Timer(timer);
        writer.Timer(coalescingTimer);
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
            ResetAll();
            throw;
        }
    }

    void LoadState(SnapshotReader reader)
    {
        if (reader.U8() != submissions.Length || reader.U8() != VectorCount || reader.U8() != namespaces.Length)
        {
            throw reader.Bad("queues, vectors or namespaces differ from this controller's");
        }

        registers.Load(reader);
        controllerConfig = new(reader.U32());
        pageSize = reader.U64();
        nextQueue = reader.U8();
        if (pageSize is not (4096 or 8192 or 16384 or 32768 or 65536) || nextQueue < 1 || nextQueue >= submissions.Length)
        {
            throw reader.Bad($"page size {pageSize} or next queue {nextQueue} is not possible");
        }

        for (var i = 0; i < submissions.Length; i++)
        {
            submissions[i].Load(reader, completions.Length);
            completions[i].Load(reader, VectorCount);
        }

        for (var i = 0; i < submissions.Length; i++)
        {
            CountLost(reader, submissions[i]);
        }

        inFlight.Load(reader, LoadFetched);
        media.Load(reader);
        LoadInterrupts(reader);
        LoadFeatures(reader);
        LoadEvents(reader);
        foreach (var space in namespaces)
        {
            space.Load(reader);
        }

        shadow = new() { Enabled = reader.Flag(), Doorbells = reader.U64(), EventIndexes = reader.U64() };
        reader.Timer(timer);
        reader.Timer(coalescingTimer);
    }

    static void SaveFetched(SnapshotWriter writer, FetchedCommand fetched)
    {
        var command = fetched.Command;
        writer.Bytes(MemoryMarshal.AsBytes(new ReadOnlySpan<NvmeCommand>(in command)));
        writer.U16(fetched.Queue);
    }

    /// <summary>Every command in flight belongs to a queue and holds one promised completion.</summary>
    FetchedCommand LoadFetched(SnapshotReader reader)
    {
        NvmeCommand command = default;
        reader.BytesInto(MemoryMarshal.AsBytes(new Span<NvmeCommand>(ref command)));
        var queue = reader.U16();
        if (queue >= submissions.Length || !submissions[queue].Exists || !completions[submissions[queue].CompletionQueue].HasRoom)
        {
            throw reader.Bad($"a command in flight names queue {queue}");
        }

        Promise(submissions[queue], 1);
        return new(command, queue);
    }

    void CountLost(SnapshotReader reader, SubmissionQueue queue)
    {
        if (queue.Lost == 0)
        {
            return;
        }

        var target = completions[queue.CompletionQueue];
        if (!queue.Exists || !target.Exists || (ulong)target.Used + target.Reserved + queue.Lost >= target.Size)
        {
            throw reader.Bad($"queue {queue.Id} cannot have lost {queue.Lost} commands");
        }

        Promise(queue, queue.Lost);
    }

    void Promise(SubmissionQueue queue, uint commands)
    {
        queue.InFlight += (int)commands;
        completions[queue.CompletionQueue].Reserved += commands;
    }

    void SaveInterrupts(SnapshotWriter writer)
    {
        for (var i = 0; i < VectorCount; i++)
        {
            writer.U32((uint)coalesced[i]);
            writer.U64(coalescingDue[i]);
            writer.Flag(coalescingDisabled[i]);
        }
    }

    void LoadInterrupts(SnapshotReader reader)
    {
        ResetInterrupts();
        for (var i = 0; i < VectorCount; i++)
        {
            coalesced[i] = (int)(reader.U32() & 0xFFFF);
            coalescingDue[i] = reader.U64();
            coalescingDisabled[i] = reader.Flag();
        }
    }

    void SaveFeatures(SnapshotWriter writer)
    {
        foreach (var value in features)
        {
            writer.U32(value);
        }

        writer.Bytes(hostIdentifier);
        writer.U16(overTemperature);
        writer.U16(underTemperature);
        writer.U64(timestamp);
        writer.U64(timestampSetAt);
        writer.Flag(timestampSet);
    }

    void LoadFeatures(SnapshotReader reader)
    {
        for (var i = 0; i < features.Length; i++)
        {
            features[i] = reader.U32();
        }

        reader.BytesInto(hostIdentifier);
        overTemperature = reader.U16();
        underTemperature = reader.U16();
        timestamp = reader.U64();
        timestampSetAt = reader.U64();
        timestampSet = reader.Flag();
    }

    void SaveEvents(SnapshotWriter writer)
    {
        writer.U8((byte)eventRequestCount);
        writer.U8((byte)pendingEventCount);
        foreach (var cid in eventRequests)
        {
            writer.U16(cid);
        }

        foreach (var value in pendingEvents)
        {
            writer.U32(value);
        }

        writer.U32(silentTypes);
        writer.U32(changedNamespaces);
        writer.U16(temperature);
        writer.U64(errorCount);
        writer.Bytes(errorLog);
        smart.Save(writer);
    }

    void LoadEvents(SnapshotReader reader)
    {
        eventRequestCount = reader.U8();
        pendingEventCount = reader.U8();
        if (eventRequestCount > EventRequests || pendingEventCount > PendingEvents)
        {
            throw reader.Bad("more events than there is room for");
        }

        for (var i = 0; i < eventRequests.Length; i++)
        {
            eventRequests[i] = reader.U16();
        }

        for (var i = 0; i < pendingEvents.Length; i++)
        {
            pendingEvents[i] = reader.U32();
        }

        silentTypes = reader.U32();
        changedNamespaces = reader.U32();
        temperature = reader.U16();
        errorCount = reader.U64();
        reader.BytesInto(errorLog);
        smart.Load(reader);
    }
}
