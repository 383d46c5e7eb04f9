using System.Buffers.Binary;
using Vmm.Platform.Snapshots;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>What the SMART page counts over the controller's life.</summary>
sealed class SmartCounters
{
    ulong bytesRead;
    ulong bytesWritten;
    ulong reads;
    ulong writes;

    public ulong MediaErrors { get; set; }

    public ulong UnsafeShutdowns { get; set; }

    public void CountRead(int bytes)
    {
        reads++;
        bytesRead += (ulong)bytes;
    }

    public void CountWrite(int bytes)
    {
        writes++;
        bytesWritten += (ulong)bytes;
    }

    public void Fill(Span<byte> page)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(page[SmartLog.UnitsRead..], Units(bytesRead));
        BinaryPrimitives.WriteUInt64LittleEndian(page[SmartLog.UnitsWritten..], Units(bytesWritten));
        BinaryPrimitives.WriteUInt64LittleEndian(page[SmartLog.ReadCommands..], reads);
        BinaryPrimitives.WriteUInt64LittleEndian(page[SmartLog.WriteCommands..], writes);
        BinaryPrimitives.WriteUInt64LittleEndian(page[SmartLog.MediaErrors..], MediaErrors);
        BinaryPrimitives.WriteUInt64LittleEndian(page[SmartLog.UnsafeShutdowns..], UnsafeShutdowns);
    }

    public void Save(SnapshotWriter writer)
    {
        writer.U64(bytesRead);
        writer.U64(bytesWritten);
        writer.U64(reads);
        writer.U64(writes);
        writer.U64(MediaErrors);
        writer.U64(UnsafeShutdowns);
    }

    public void Load(SnapshotReader reader)
    {
        (bytesRead, bytesWritten, reads, writes) = (reader.U64(), reader.U64(), reader.U64(), reader.U64());
        (MediaErrors, UnsafeShutdowns) = (reader.U64(), reader.U64());
    }

    /// <summary>Thousands of 512 bytes, rounded up.</summary>
    static ulong Units(ulong bytes) => (bytes + 511_999) / 512_000;
}
