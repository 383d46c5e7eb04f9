using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Machine;

/// <summary>
/// Snapshot files: magic, format version, then records of (kind, length, SHA-256, bytes). Record kinds: configuration,
/// section, run of RAM pages, piece of a disk in memory, end. Little-endian; no runtime types; a reader checks every length before it allocates.
/// </summary>
public static class SnapshotFile
{
    const uint FormatVersion = 2;
    const int PagesPerRun = 256;
    const int LargestRecord = 64 << 20;

    enum Record : uint
    {
        Config = 1,
        Section = 2,
        Pages = 3,
        End = 4,
        DiskPiece = 5,
    }

    static ReadOnlySpan<byte> Magic => "VMMSNAP\n"u8;

    /// <summary>True when a file begins as snapshots do.</summary>
    public static bool IsSnapshot(Stream stream)
    {
        Span<byte> begin = stackalloc byte[Magic.Length];
        return stream.ReadAtLeast(begin, begin.Length, throwOnEndOfStream: false) == begin.Length && begin.SequenceEqual(Magic);
    }

    /// <summary>Writes the machine's state to a file.</summary>
    public static void Save(VirtualMachine machine, Stream stream)
    {
        stream.Write(Magic);
        WriteU32(stream, FormatVersion);
        var writer = new SnapshotWriter();
        writer.U64(machine.Config.MemoryBytes);
        writer.U32((uint)machine.Config.Vcpus);
        writer.U64(machine.Config.Quantum);
        WriteCost(writer, machine.Config.Cost);
        writer.Flag(machine.Config.Ledger);
        writer.U64(machine.Config.Seed);
        writer.U64((ulong)machine.Config.StartTime);
        WriteRecord(stream, Record.Config, writer.Written);
        foreach (var section in machine.SaveSections())
        {
            writer = new();
            writer.Text(section.Name);
            writer.U16(section.Version);
            writer.Bytes(section.Data.Span);
            WriteRecord(stream, Record.Section, writer.Written);
        }

        WritePages(machine.Memory, stream);
        foreach (var (disk, index, piece) in machine.DiskPieces())
        {
            writer = new();
            writer.U32((uint)disk);
            writer.U32((uint)index);
            writer.Bytes(piece.Span);
            WriteRecord(stream, Record.DiskPiece, writer.Written);
        }

        WriteRecord(stream, Record.End, []);
    }

    static void WriteCost(SnapshotWriter writer, CostModel cost) => writer.Bytes(cost.ToJson());

    static CostModel ReadCost(SnapshotReader reader)
    {
        try
        {
            return CostProfiles.Parse(reader.Bytes().ToArray());
        }
        catch (CostException bad)
        {
            throw reader.Bad($"cost model: {bad.Message}");
        }
    }

    static void WritePages(GuestMemory memory, Stream stream)
    {
        var writer = new SnapshotWriter();
        var inRun = 0;
        for (var i = 0; i < memory.PageCount; i++)
        {
            var page = memory.Page(i);
            if (page.ContainsAnyExcept((byte)0))
            {
                writer.U32((uint)i);
                writer.Bytes(page);
                inRun++;
            }

            if (inRun == PagesPerRun || (i == memory.PageCount - 1 && inRun != 0))
            {
                WriteRecord(stream, Record.Pages, writer.Written);
                writer = new();
                inRun = 0;
            }
        }
    }

    /// <summary>Reads the configuration that a file was saved with; the stream is left behind it.</summary>
    /// <exception cref="SnapshotException">This is not a snapshot, or its header is damaged.</exception>
    public static MachineConfig ReadConfig(Stream stream)
    {
        Span<byte> magic = stackalloc byte[8];
        if (stream.ReadAtLeast(magic, 8, false) != 8 || !magic.SequenceEqual(Magic))
        {
            throw new SnapshotException("this is not a snapshot: wrong magic at offset 0");
        }

        var version = ReadU32(stream, "format version");
        if (version != FormatVersion)
        {
            throw new SnapshotException($"snapshot format {version} is unknown; this program reads {FormatVersion}");
        }

        if (ReadRecord(stream, out var data) != Record.Config)
        {
            throw new SnapshotException("the snapshot does not start with its configuration");
        }

        var reader = new SnapshotReader("config", 1, data);
        var config = new MachineConfig
        {
            MemoryBytes = reader.U64(), Vcpus = (int)reader.U32(), Quantum = reader.U64(),
            Cost = ReadCost(reader), Ledger = reader.Flag(),
            Seed = reader.U64(), StartTime = (long)reader.U64(),
        };
        reader.End();
        try
        {
            config.Validate();
        }
        catch (ConfigException bad)
        {
            throw new SnapshotException($"snapshot configuration: {bad.Message}");
        }

        return config;
    }

    /// <summary>A machine in the state of a file; its devices are those of <paramref name="devices"/>.</summary>
    /// <exception cref="SnapshotException">The file is damaged or does not fit.</exception>
    /// <exception cref="ConfigException">The devices cannot be built.</exception>
    public static VirtualMachine Restore(Stream stream, MachineConfig devices, Platform.Bus.IConsoleOutput console)
    {
        var saved = ReadConfig(stream);
        var machine = new VirtualMachine(
            devices with { MemoryBytes = saved.MemoryBytes, Vcpus = saved.Vcpus, Quantum = saved.Quantum, Cost = saved.Cost, Seed = saved.Seed, StartTime = saved.StartTime },
            console);
        try
        {
            Load(machine, stream);
            return machine;
        }
        catch (SnapshotException)
        {
            machine.Dispose();
            throw;
        }
    }

    /// <summary>Reads the rest of a file into a machine built from its configuration.</summary>
    /// <exception cref="SnapshotException">The file is damaged or does not fit; the machine must then be discarded.</exception>
    public static void Load(VirtualMachine machine, Stream stream)
    {
        var sections = new List<SnapshotSection>();
        while (true)
        {
            switch (ReadRecord(stream, out var data))
            {
                case Record.Section:
                    var reader = new SnapshotReader("section record", 1, data);
                    sections.Add(new(reader.Text(), reader.U16(), reader.Bytes().ToArray()));
                    break;
                case Record.Pages:
                    LoadPages(machine.Memory, data);
                    break;
                case Record.DiskPiece:
                    var disk = new SnapshotReader("disk piece", 1, data);
                    machine.LoadDiskPiece(disk.U32(), disk.U32(), disk.Bytes());
                    break;
                case Record.End:
                    machine.LoadSections(sections);
                    return;
                case var kind:
                    throw new SnapshotException($"snapshot record kind {(uint)kind} is unknown");
            }
        }
    }

    static void LoadPages(GuestMemory memory, byte[] data)
    {
        var reader = new SnapshotReader("pages", 1, data);
        var page = new byte[GuestMemory.PageSize];
        while (reader.Remaining > 0)
        {
            var index = reader.U32();
            reader.BytesInto(page);
            if (index >= memory.PageCount)
            {
                throw new SnapshotException($"snapshot page {index} is outside the machine's {memory.PageCount} pages");
            }

            memory.LoadPage((int)index, page);
        }
    }

    static void WriteRecord(Stream stream, Record kind, ReadOnlySpan<byte> data)
    {
        WriteU32(stream, (uint)kind);
        WriteU32(stream, (uint)data.Length);
        stream.Write(SHA256.HashData(data));
        stream.Write(data);
    }

    static Record ReadRecord(Stream stream, out byte[] data)
    {
        var kind = (Record)ReadU32(stream, "record kind");
        var length = ReadU32(stream, "record length");
        if (length > LargestRecord)
        {
            throw new SnapshotException($"snapshot record of {length} bytes is larger than any this program writes");
        }

        var digest = new byte[32];
        data = new byte[length];
        if (stream.ReadAtLeast(digest, 32, false) != 32 || stream.ReadAtLeast(data, (int)length, false) != (int)length)
        {
            throw new SnapshotException($"the snapshot ends inside a record of {length} bytes");
        }

        return SHA256.HashData(data).AsSpan().SequenceEqual(digest)
            ? kind
            : throw new SnapshotException($"checksum of a snapshot record (kind {(uint)kind}) does not match");
    }

    static void WriteU32(Stream stream, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        stream.Write(bytes);
    }

    static uint ReadU32(Stream stream, string what)
    {
        Span<byte> bytes = stackalloc byte[4];
        return stream.ReadAtLeast(bytes, 4, false) == 4
            ? BinaryPrimitives.ReadUInt32LittleEndian(bytes)
            : throw new SnapshotException($"the snapshot ends before its {what}");
    }
}
