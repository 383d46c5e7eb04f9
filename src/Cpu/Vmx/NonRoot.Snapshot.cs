using Vmm.Platform.Snapshots;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Vmx;

/// <content>Snapshot: the VMCS but for what the vCPU's own section holds, the bitmaps, the processor below and pending events.</content>
public sealed unsafe partial class NonRoot : ISnapshotPart
{
    const int MostMsrs = 512;

    /// <inheritdoc/>
    public string SectionName => $"vmx{cpu.Index}";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        Refresh();
        writer.Text(Options.Profile.Name);
        writer.Flag(Options.PreserveMce);
        writer.Flag(Options.StaleHostCr4);
        writer.Flag(Options.HostMceAtCreation);
        writer.Flag(Options.HostMce);
        writer.Flag(guestWritten);
        foreach (var field in VmcsFields.All)
        {
            writer.U64(guestWritten || VmcsFields.Area(field) != VmcsArea.Guest ? vmcs[field] : 0);
        }

        writer.Bytes(Bitmaps.Io);
        writer.Bytes(Bitmaps.Msr);
        writer.U16((ushort)EntryMsrs.Count);
        foreach (var entry in EntryMsrs)
        {
            writer.U32(entry.Msr);
            writer.U64(entry.Value);
        }

        foreach (var value in (ReadOnlySpan<ulong>)[cr0Extra, cr4Extra, Exits, Physical.Cr4, Physical.Cr4Reads, pauseFirst, pauseLast])
        {
            writer.U64(value);
        }

        foreach (var flag in (ReadOnlySpan<bool>)[entryDue, created, inHost, hostCr4Written, drPassed, preemptionExpired, interruptArrived, nmiArrived, initArrived, kicked])
        {
            writer.Flag(flag);
        }

        writer.U8(interruptVector);
        writer.U16((ushort)(startUpArrived + 1));
        writer.U32((uint)machineChecks);
        writer.U8((byte)armed);
        writer.U32(injecting);
        writer.U32(injectingError);
        writer.Timer(preemption);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        var name = reader.Text();
        Options = new()
        {
            Profile = VmxProfile.All.FirstOrDefault(p => p.Name == name) ?? throw reader.Bad("the VMX profile is unknown"),
            PreserveMce = reader.Flag(), StaleHostCr4 = reader.Flag(), HostMceAtCreation = reader.Flag(), HostMce = reader.Flag(),
        };
        guestWritten = reader.Flag();
        foreach (var field in VmcsFields.All)
        {
            vmcs[field] = reader.U64();
        }

        reader.BytesInto(Bitmaps.Io);
        reader.BytesInto(Bitmaps.Msr);
        var count = reader.U16();
        if (count > MostMsrs)
        {
            throw reader.Bad($"{count} MSRs exceed {MostMsrs}");
        }

        var entries = new MsrEntry[count];
        for (var i = 0; i < count; i++)
        {
            entries[i] = new(reader.U32(), reader.U64());
        }

        EntryMsrs = entries;
        cr0Extra = reader.U64() & State.Cr.Cr0NE;
        cr4Extra = reader.U64() & Cr4Apart;
        Exits = reader.U64();
        Physical.LoadCr4(reader.U64());
        Physical.Cr4Reads = reader.U64();
        pauseFirst = reader.U64();
        pauseLast = reader.U64();
        LoadEvents(reader);
    }

    void LoadEvents(SnapshotReader reader)
    {
        var due = reader.Flag();
        created = reader.Flag();
        inHost = reader.Flag();
        hostCr4Written = reader.Flag();
        drPassed = reader.Flag();
        preemptionExpired = reader.Flag();
        interruptArrived = reader.Flag();
        nmiArrived = reader.Flag();
        initArrived = reader.Flag();
        kicked = reader.Flag();
        interruptVector = reader.U8();
        startUpArrived = Math.Min((int)reader.U16(), 256) - 1;
        machineChecks = (int)Math.Min(reader.U32(), 1000);
        var where = reader.U8();
        if (where > (byte)EntryMachineCheck.After)
        {
            throw reader.Bad($"VM-entry phase {where} is unknown");
        }

        armed = (EntryMachineCheck)where;
        var info = reader.U32();
        var error = reader.U32();
        reader.Timer(preemption);
        ControlsChanged();
        (injecting, injectingError, entryDue) = (info, error, due);
        NoteControlRegisters();
    }
}
