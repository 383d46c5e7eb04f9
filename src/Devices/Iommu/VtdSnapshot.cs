using Vmm.Platform.Snapshots;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>
/// Saves registers, latched tables and every cache entry: a restored machine answers from the same stale entries as an
/// uninterrupted one. Counters are not saved.
/// </summary>
public sealed partial class VtdUnit
{
    /// <inheritdoc/>
    public string SectionName => core.Options.Name;

    /// <inheritdoc/>
    public ushort SectionVersion => 2;

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        core.Registers.Save(writer);
        writer.U64(core.RootTable.Raw);
        writer.U64(core.InterruptTable.Raw);
        writer.U8((byte)faults.Next);
        queue.Save(writer);
        core.Iotlb.Save(writer);
        SaveContexts(writer);
        SavePasids(writer);
        SaveInterrupts(writer);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        core.Registers.Load(reader);
        CheckCapabilities(reader);
        core.Gsts = core.Gsts with { };
        core.RootTable = new(reader.U64());
        core.InterruptTable = new(reader.U64());
        var next = reader.U8();
        faults.Next = next <= core.Capabilities.Cap.NFR ? next : throw reader.Bad($"fault record {next}");
        queue.Load(reader);
        core.ClearCaches();
        core.Iotlb.Load(reader);
        LoadContexts(reader);
        LoadPasids(reader);
        LoadInterrupts(reader);
        reader.End();
    }

    void CheckCapabilities(SnapshotReader reader)
    {
        var registers = core.Registers;
        if (registers.Get64(VtdRegister.CAP) != core.Capabilities.Cap.Raw || registers.Get64(VtdRegister.ECAP) != core.Capabilities.Ecap.Raw ||
            registers.Get32(VtdRegister.VER) != core.Capabilities.Version)
        {
            throw reader.Bad("made by a unit with other capabilities");
        }
    }

    void SaveContexts(SnapshotWriter writer)
    {
        core.Contexts.SaveHeader(writer);
        for (var i = 0; i < core.Contexts.Size; i++)
        {
            ref readonly var entry = ref core.Contexts[i];
            if (core.Contexts.IsValid(i))
            {
                writer.U32((uint)i);
                writer.U64(entry.Low);
                writer.U64(entry.High);
                writer.U16(entry.Source);
                writer.U16(entry.Domain);
                writer.U8((byte)entry.Reason);
            }
        }
    }

    void LoadContexts(SnapshotReader reader)
    {
        for (var left = core.Contexts.LoadHeader(reader); left > 0; left--)
        {
            var index = reader.U32();
            var entry = new ContextCacheEntry
            {
                Low = reader.U64(),
                High = reader.U64(),
                Source = reader.U16(),
                Domain = reader.U16(),
                Reason = (FaultReason)reader.U8(),
            };
            contexts.Decode(ref core.Contexts.Load(reader, index, entry.Key, entry));
        }
    }

    void SavePasids(SnapshotWriter writer)
    {
        core.Pasids.SaveHeader(writer);
        for (var i = 0; i < core.Pasids.Size; i++)
        {
            ref readonly var entry = ref core.Pasids[i];
            if (core.Pasids.IsValid(i))
            {
                writer.U32((uint)i);
                writer.U64(entry.Q0);
                writer.U64(entry.Q1);
                writer.U64(entry.Q2);
                writer.U16(entry.Source);
                writer.U16(entry.Domain);
                writer.U32(entry.Pasid);
                writer.U8((byte)entry.Reason);
                writer.Flag(entry.Suppressed);
            }
        }
    }

    void LoadPasids(SnapshotReader reader)
    {
        for (var left = core.Pasids.LoadHeader(reader); left > 0; left--)
        {
            var index = reader.U32();
            var entry = new PasidCacheEntry
            {
                Q0 = reader.U64(),
                Q1 = reader.U64(),
                Q2 = reader.U64(),
                Source = reader.U16(),
                Domain = reader.U16(),
                Pasid = reader.U32() & 0xF_FFFF,
                Reason = (FaultReason)reader.U8(),
                Suppressed = reader.Flag(),
            };
            contexts.Decode(ref core.Pasids.Load(reader, index, entry.Key, entry));
        }
    }

    void SaveInterrupts(SnapshotWriter writer)
    {
        core.InterruptEntries.SaveHeader(writer);
        for (var i = 0; i < core.InterruptEntries.Size; i++)
        {
            ref readonly var entry = ref core.InterruptEntries[i];
            if (core.InterruptEntries.IsValid(i))
            {
                writer.U32((uint)i);
                writer.U64(entry.Low);
                writer.U64(entry.High);
                writer.U32((uint)entry.Index);
                writer.U8((byte)entry.Reason);
            }
        }
    }

    void LoadInterrupts(SnapshotReader reader)
    {
        for (var left = core.InterruptEntries.LoadHeader(reader); left > 0; left--)
        {
            var slot = reader.U32();
            var entry = new InterruptCacheEntry
            {
                Low = reader.U64(),
                High = reader.U64(),
                Index = (int)(reader.U32() & 0x1_FFFF),
                Reason = (FaultReason)reader.U8(),
            };
            core.InterruptEntries.Load(reader, slot, (ulong)entry.Index, entry);
        }
    }
}
