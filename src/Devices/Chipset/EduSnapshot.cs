using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>Saves the device behind the function; the function saves itself.</summary>
public sealed partial class Edu : ISnapshotPart
{
    /// <inheritdoc/>
    public string SectionName => Function.Name;

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U32(liveness);
        writer.U32(factorial);
        writer.U32(status);
        writer.U32(interrupts);
        writer.U64(source);
        writer.U64(destination);
        writer.U64(count);
        writer.U64(command);
        writer.U8((byte)result);
        writer.Flag(Rogue);
        writer.Bytes(buffer);
        writer.Timer(dmaTimer);
        writer.Timer(factorialTimer);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        liveness = reader.U32();
        factorial = reader.U32();
        status = reader.U32();
        interrupts = reader.U32();
        source = reader.U64();
        destination = reader.U64();
        count = reader.U64();
        command = reader.U64();
        result = (EduDmaResult)reader.U8();
        if (result > EduDmaResult.OutOfBuffer)
        {
            throw reader.Bad($"DMA result {(int)result} is unknown");
        }

        Rogue = reader.Flag();
        reader.BytesInto(buffer);
        reader.Timer(dmaTimer);
        reader.Timer(factorialTimer);
    }
}
