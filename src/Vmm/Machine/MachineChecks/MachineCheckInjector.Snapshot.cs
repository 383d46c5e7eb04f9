using Vmm.Platform.Snapshots;
using Vmm.Specs.X86;

namespace Vmm.Machine.MachineChecks;

/// <content>Snapshot: what waits, and the counters.</content>
public sealed partial class MachineCheckInjector : ISnapshotPart
{
    /// <inheritdoc/>
    public string SectionName => "machine-checks";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U64(Injected);
        writer.U64(Overwrote);
        writer.U64(Lost);
        writer.U32(nextId);
        writer.U16((ushort)armed.Count);
        foreach (var (id, injection, left) in armed)
        {
            writer.U32(id);
            writer.U64(left);
            writer.U8((byte)injection.Cpu);
            writer.Flag(injection.Bank != null);
            writer.U8((byte)(injection.Bank ?? 0));
            Write(writer, injection.Status);
            Write(writer, injection.Addr);
            writer.U64(injection.Misc);
            Write(writer, injection.McgStatus);
            writer.U8((byte)injection.Signal);
            writer.Flag(injection.Once);
            writer.U8((byte)injection.When.Trigger);
            writer.U64(injection.When.Value);
            writer.U32((uint)injection.When.Exit);
            writer.U8((byte)injection.When.By);
        }
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        Injected = reader.U64();
        Overwrote = reader.U64();
        Lost = reader.U64();
        nextId = reader.U32();
        armed.Clear();
        fired.Clear();
        for (var left = reader.U16(); left > 0; left--)
        {
            var waiting = new ArmedInjection(reader.U32(), null!, reader.U64());
            var cpu = reader.U8();
            var hasBank = reader.Flag();
            var bank = reader.U8();
            var injection = new MachineCheckInjection
            {
                Cpu = cpu, Bank = hasBank ? bank : null, Status = Read(reader), Addr = Read(reader), Misc = reader.U64(), McgStatus = Read(reader),
                Signal = (MachineCheckSignal)reader.U8(), Once = reader.Flag(),
                When = new((InjectionTrigger)reader.U8(), reader.U64(), (ExitReason)reader.U32(), (PageToucher)reader.U8()),
            };
            if (armed.Count == ArmedLimit || injection.When.Trigger == InjectionTrigger.Now || Violations(injection) is { Count: > 0 })
            {
                throw reader.Bad($"waiting injection {waiting.Id} is not possible on this machine");
            }

            armed.Add(waiting with { Injection = injection });
        }

        ArmedChanged();
    }

    static void Write(SnapshotWriter writer, ulong? value)
    {
        writer.Flag(value != null);
        writer.U64(value ?? 0);
    }

    static ulong? Read(SnapshotReader reader)
    {
        var there = reader.Flag();
        var value = reader.U64();
        return there ? value : null;
    }
}
