using System.Security.Cryptography;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;

namespace Vmm.Machine;

/// <summary>A machine frozen between two turns: its sections and its RAM. Any number of machines can be forked from it.</summary>
public sealed class MachineImage : IDisposable
{
    internal MachineImage(MachineConfig config, IReadOnlyList<SnapshotSection> sections, MemoryImage memory)
    {
        Config = config;
        Sections = sections;
        Memory = memory;
    }

    /// <summary>What the machine was built from.</summary>
    public MachineConfig Config { get; }

    /// <summary>State of everything but RAM.</summary>
    public IReadOnlyList<SnapshotSection> Sections { get; }

    internal MemoryImage Memory { get; }

    /// <inheritdoc/>
    public void Dispose() => Memory.Dispose();
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
    public MachineImage Freeze() => new(Config, SaveSections(), Memory.Freeze());

    /// <summary>Puts this machine, built from the same configuration, into the frozen state.</summary>
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

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
