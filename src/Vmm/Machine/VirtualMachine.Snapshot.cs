using System.Security.Cryptography;
using Vmm.Platform.Block;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;

namespace Vmm.Machine;

/// <summary>A machine frozen between two turns: its sections, its RAM and its disks. Any number of machines can be forked from it.</summary>
public sealed class MachineImage : IDisposable
{
    readonly IForkableBackend?[] disks;
    int users = 1;

    internal MachineImage(MachineConfig config, IReadOnlyList<SnapshotSection> sections, MemoryImage memory, IForkableBackend?[] disks)
    {
        this.disks = disks;
        Config = config with { Disks = [.. config.Disks.Select((disk, i) => disk with { Open = () => OpenFork(i) })] };
        Sections = sections;
        Memory = memory;
    }

    /// <summary>What a fork is built from: the machine's configuration, with disks that share the frozen contents.</summary>
    public MachineConfig Config { get; }

    /// <summary>Number of the first disk that cannot be forked because it writes to its file, or -1.</summary>
    public int UnforkableDisk => Array.FindIndex(disks, d => d == null);

    IForkableBackend OpenFork(int disk) =>
        disks[disk]?.Fork() ?? throw new ConfigException("disk", $"disk {disk} writes to its file and cannot be forked");

    /// <summary>State of everything but RAM.</summary>
    public IReadOnlyList<SnapshotSection> Sections { get; }

    internal MemoryImage Memory { get; }

    /// <summary>One more owner: the image lives until each has disposed of it.</summary>
    public MachineImage Share()
    {
        Interlocked.Increment(ref users);
        return this;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Decrement(ref users) != 0)
        {
            return;
        }

        Memory.Dispose();
        foreach (var disk in disks)
        {
            disk?.Dispose();
        }
    }
}

/// <summary>One part's state.</summary>
/// <param name="Name">Section name.</param>
/// <param name="Version">Version of its layout.</param>
/// <param name="Data">Its bytes.</param>
public sealed record SnapshotSection(string Name, ushort Version, ReadOnlyMemory<byte> Data);

/// <content>Snapshots, forks and the state hash.</content>
public sealed partial class VirtualMachine
{
    const string MachineSection = "machine";
    const ushort MachineVersion = 2;

    /// <summary>State of every part but RAM. The machine must not be running.</summary>
    public IReadOnlyList<SnapshotSection> SaveSections()
    {
        var sections = new List<SnapshotSection>(parts.Count + 1);
        var writer = new SnapshotWriter();
        writer.U64(machineTime);
        writer.U64(Clock.Now);
        for (var i = 0; i < vcpus.Length; i++)
        {
            writer.U64(booked[i]);
            writer.Flag(asleep[i]);
        }

        sections.Add(new(MachineSection, MachineVersion, writer.Written.ToArray()));
        foreach (var part in parts)
        {
            writer = new();
            part.Save(writer);
            sections.Add(new(part.SectionName, part.SectionVersion, writer.Written.ToArray()));
        }

        return sections;
    }

    /// <summary>Freezes the machine; it may go on running, and forks of the image share memory until they write.</summary>
    public MachineImage Freeze() => new(Config, SaveSections(), Memory.Freeze(), [.. backends.Select(b => (b as IForkableBackend)?.Fork())]);

    /// <summary>A machine in the frozen state, disks included, that goes its own way.</summary>
    /// <exception cref="ConfigException">A disk cannot be forked.</exception>
    public static VirtualMachine Fork(MachineImage image, Platform.Bus.IConsoleOutput console)
    {
        var machine = new VirtualMachine(image.Config, console);
        machine.Restore(image);
        return machine;
    }

    /// <summary>Puts this machine, built from the same configuration, into the frozen state; disks keep their contents.</summary>
    /// <exception cref="SnapshotException">The image does not fit this machine; the message names the section.</exception>
    public void Restore(MachineImage image)
    {
        if (image.Memory.RamBytes != Memory.RamBytes)
        {
            throw new SnapshotException($"the snapshot has {image.Memory.RamBytes} bytes of RAM, the machine {Memory.RamBytes}");
        }

        Memory.Adopt(image.Memory);
        LoadSections(image.Sections);
    }

    /// <summary>Loads every part; sections must be exactly those of this machine.</summary>
    /// <exception cref="SnapshotException">A section is missing, repeated, unknown or damaged.</exception>
    public void LoadSections(IReadOnlyList<SnapshotSection> sections)
    {
        dead = null;
        var byName = new Dictionary<string, SnapshotSection>();
        foreach (var section in sections)
        {
            if (!byName.TryAdd(section.Name, section))
            {
                throw new SnapshotException($"snapshot section '{section.Name}' is there twice");
            }
        }

        var machine = Take(byName, MachineSection, MachineVersion);
        machineTime = machine.U64();
        Clock.SwitchTo(machine.U64());
        for (var i = 0; i < vcpus.Length; i++)
        {
            booked[i] = machine.U64();
            asleep[i] = machine.Flag();
        }

        machine.End();
        foreach (var part in parts)
        {
            var reader = Take(byName, part.SectionName, part.SectionVersion);
            part.Load(reader);
            reader.End();
        }

        if (Array.FindIndex(vcpus, c => booked[c.Index] > c.LocalTime) is var ahead and >= 0)
        {
            throw new SnapshotException($"snapshot section '{MachineSection}': the ledger of vCPU {ahead} is ahead of its time");
        }

        if (byName.Count != 0)
        {
            throw new SnapshotException($"snapshot section '{byName.Keys.First()}' belongs to no part of this machine");
        }
    }

    static SnapshotReader Take(Dictionary<string, SnapshotSection> sections, string name, ushort version)
    {
        if (!sections.Remove(name, out var section))
        {
            throw new SnapshotException($"snapshot section '{name}' is missing");
        }

        return section.Version > version
            ? throw new SnapshotException($"snapshot section '{name}' has version {section.Version}, this program knows {version}")
            : new(name, section.Version, section.Data);
    }

    /// <summary>SHA-256 over every section and every RAM page that is not zero: equal machines have equal hashes.</summary>
    public string StateHash()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var section in SaveSections())
        {
            hash.AppendData(System.Text.Encoding.UTF8.GetBytes(section.Name));
            hash.AppendData(section.Data.Span);
        }

        for (var i = 0; i < Memory.PageCount; i++)
        {
            var page = Memory.Page(i);
            if (page.ContainsAnyExcept((byte)0))
            {
                hash.AppendData(BitConverter.GetBytes(i));
                hash.AppendData(page);
            }
        }

        foreach (var (disk, index, piece) in DiskPieces())
        {
            hash.AppendData(BitConverter.GetBytes(((long)disk << 32) + index));
            hash.AppendData(piece.Span);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>What was written to disks whose contents are the machine's own.</summary>
    internal IEnumerable<(int Disk, int Index, ReadOnlyMemory<byte> Piece)> DiskPieces()
    {
        for (var disk = 0; disk < backends.Count; disk++)
        {
            if (backends[disk] is IForkableBackend own)
            {
                for (var index = 0; index < own.PieceCount; index++)
                {
                    if (!own.Piece(index).IsEmpty)
                    {
                        yield return (disk, index, own.Piece(index).ToArray());
                    }
                }
            }
        }
    }

    /// <summary>Puts back what <see cref="DiskPieces"/> gave.</summary>
    /// <exception cref="SnapshotException">The machine has no such disk or piece.</exception>
    internal void LoadDiskPiece(uint disk, uint index, ReadOnlySpan<byte> piece)
    {
        if (disk >= (uint)backends.Count || backends[(int)disk] is not IForkableBackend own || index >= (uint)own.PieceCount || piece.Length != MemoryBlockBackend.PieceLength)
        {
            throw new SnapshotException($"snapshot piece {index} of disk {disk} belongs to no disk in memory of this machine");
        }

        own.LoadPiece((int)index, piece);
    }
}
