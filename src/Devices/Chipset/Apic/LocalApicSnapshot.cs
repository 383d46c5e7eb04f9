using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>Section "lapic{id}".</summary>
public sealed partial class LocalApic
{
    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U64(apicBase);
        writer.U8(xapicId);
        writer.U8(tpr);
        writer.U32(ldr);
        writer.U32(dfr);
        writer.U32(svr);
        writer.U32(icr);
        writer.U32(icr2);
        writer.U8((byte)errors);
        writer.U8((byte)errorLatch);
        writer.Flag(lint0);
        writer.Flag(lint1);
        writer.Flag(extIntMessage);
        isr.Save(writer);
        tmr.Save(writer);
        irr.Save(writer);
        foreach (var entry in lvt)
        {
            writer.U32(entry);
        }

        timer.Save(writer);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        apicBase = reader.U64();
        xapicId = reader.U8();
        tpr = reader.U8();
        ldr = reader.U32();
        dfr = reader.U32();
        svr = reader.U32();
        icr = reader.U32();
        icr2 = reader.U32();
        errors = (ApicErrors)reader.U8();
        errorLatch = (ApicErrors)reader.U8();
        lint0 = reader.Flag();
        lint1 = reader.Flag();
        extIntMessage = reader.Flag();
        isr.Load(reader);
        tmr.Load(reader);
        irr.Load(reader);
        for (var i = 0; i < lvt.Length; i++)
        {
            lvt[i] = reader.U32();
        }

        timer.Load(reader);
        intr = ExtIntWaits || Mode != ApicMode.Disabled && Deliverable >= 0;
        wires.SetIntr(intr);
    }
}
