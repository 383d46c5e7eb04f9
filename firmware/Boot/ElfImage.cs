using System.Buffers.Binary;
using Vmm.Specs.Boot;

namespace Vmm.Firmware.Boot;

/// <summary>A program header of type PT_LOAD.</summary>
internal readonly record struct ElfSegment(
    long HeaderOffset, ulong FileOffset, ulong VirtualAddress, ulong PhysicalAddress, ulong FileSize, ulong MemorySize);

/// <summary>An x86 ELF executable of either class, loaded by physical address: what Linux, PVH and multiboot share.</summary>
internal sealed class ElfImage
{
    const int MostProgramHeaders = 1024;
    const int NoteHeaderSize = 12;

    readonly ImageReader reader;
    readonly List<(ulong Offset, ulong Size, long HeaderOffset)> noteSegments = [];
    readonly List<ElfSegment> segments = [];

    /// <summary>Reads and checks the headers.</summary>
    /// <exception cref="ImageException">It is not an executable for x86, or a header is bad.</exception>
    public ElfImage(ReadOnlyMemory<byte> image)
    {
        reader = new(image);
        if (!IsElf(image.Span))
        {
            throw new ImageException("ELF magic", 0, "the bytes are not those of an ELF file");
        }

        Is64Bit = reader.Read("ELF class", Elf.Class, 1) switch
        {
            1 => false,
            2 => true,
            var other => throw new ImageException("ELF class", Elf.Class, $"{other} is neither 1 (32-bit) nor 2 (64-bit)"),
        };
        Expect("ELF data encoding", Elf.Data, 1, 1);
        Expect("ELF e_type", Elf.Type, 2, Elf.TypeExec, Elf.TypeDyn);
        Expect("ELF e_machine", Elf.Machine, 2, Is64Bit ? Elf.MachineX64 : Elf.Machine386);
        StatedEntry = Word("ELF e_entry", Elf.Entry);
        ReadProgramHeaders();
        if (segments.Count == 0)
        {
            throw new ImageException("ELF e_phnum", PhNumAt, "no segment is to be loaded");
        }
    }

    /// <summary>True for ELFCLASS64.</summary>
    public bool Is64Bit { get; }

    /// <summary>e_entry as it stands, virtual or physical.</summary>
    public ulong StatedEntry { get; }

    /// <summary>What is to be loaded, in file order; segments of no size are left out.</summary>
    public IReadOnlyList<ElfSegment> Segments => segments;

    /// <summary>First address after all segments.</summary>
    public ulong End => segments.Max(segment => segment.PhysicalAddress + segment.MemorySize);

    int WordSize => Is64Bit ? 8 : 4;

    int PhNumAt => Is64Bit ? 56 : 44;

    /// <summary>True when the bytes start an ELF file.</summary>
    public static bool IsElf(ReadOnlySpan<byte> image) => image.Length >= 4 && BinaryPrimitives.ReadUInt32LittleEndian(image) == Elf.Magic;

    /// <summary>The description of the first note of an owner and type (null: any type), or null when there is none.</summary>
    /// <exception cref="ImageException">A note segment is bad.</exception>
    public ReadOnlyMemory<byte>? FindNote(ReadOnlySpan<byte> owner, uint? type)
    {
        foreach (var (offset, size, headerOffset) in noteSegments)
        {
            var notes = reader.Slice("ELF note segment", offset, size, headerOffset);
            for (var at = 0; notes.Length - at >= NoteHeaderSize;)
            {
                var header = notes.Span[at..];
                var nameSize = BinaryPrimitives.ReadUInt32LittleEndian(header);
                var bodySize = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
                var bodyAt = NoteHeaderSize + ((long)nameSize + 3 & ~3L);
                if (bodyAt + bodySize > header.Length)
                {
                    throw new ImageException("ELF note", (long)offset + at, $"name and description of {nameSize} and {bodySize} bytes do not fit");
                }

                var name = header.Slice(NoteHeaderSize, (int)nameSize).TrimEnd((byte)0);
                var found = BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
                if (name.SequenceEqual(owner) && found == (type ?? found))
                {
                    return notes.Slice(at + (int)bodyAt, (int)bodySize);
                }

                // The last note's padding may be missing.
                at = (int)Math.Min(notes.Length, at + bodyAt + ((long)bodySize + 3 & ~3L));
            }
        }

        return null;
    }

    /// <summary>
    /// The physical address to start at: e_entry itself when it lies in a loaded range, else translated as the virtual
    /// address of an executable.
    /// </summary>
    /// <exception cref="ImageException">It lies in no segment.</exception>
    public ulong PhysicalEntry(ulong entry)
    {
        foreach (var segment in segments)
        {
            if (entry - segment.PhysicalAddress < segment.MemorySize)
            {
                return entry;
            }
        }

        foreach (var segment in segments)
        {
            if (entry - segment.VirtualAddress < segment.MemorySize)
            {
                return entry - segment.VirtualAddress + segment.PhysicalAddress;
            }
        }

        throw new ImageException("ELF entry", Elf.Entry, $"0x{entry:x} lies in no segment");
    }

    /// <summary>Claims memory for all segments and writes them.</summary>
    /// <exception cref="ImageException">A segment does not fit.</exception>
    public void Load(Placement memory)
    {
        foreach (var segment in segments)
        {
            memory.Claim("ELF segment", segment.PhysicalAddress, segment.MemorySize, segment.HeaderOffset);
            var bytes = reader.Slice("ELF segment", segment.FileOffset, segment.FileSize, segment.HeaderOffset);
            memory.Write("ELF segment", new(segment.PhysicalAddress), bytes, segment.MemorySize - segment.FileSize);
        }
    }

    void ReadProgramHeaders()
    {
        var table = Word("ELF e_phoff", Is64Bit ? 32 : 28);
        var size = Is64Bit ? Elf.ProgramHeaderSize64 : Elf.ProgramHeaderSize32;
        Expect("ELF e_phentsize", PhNumAt - 2, 2, (ulong)size);
        var count = reader.Read("ELF e_phnum", PhNumAt, 2);
        if (count > MostProgramHeaders)
        {
            throw new ImageException("ELF e_phnum", PhNumAt, $"{count} program headers are more than {MostProgramHeaders}");
        }

        reader.Slice("ELF e_phoff", table, count * (ulong)size, Is64Bit ? 32 : 28);
        for (var i = 0; i < (int)count; i++)
        {
            ReadProgramHeader((long)table + i * size);
        }
    }

    void ReadProgramHeader(long at)
    {
        var type = reader.Read("ELF p_type", at, 4);
        if (type is not (Elf.Load or Elf.Note))
        {
            return;
        }

        // After p_type the 64-bit class has p_flags; from p_offset on both classes have the same order of words.
        var first = at + (Is64Bit ? 8 : 4);
        ulong Field(string name, int index) => Word(name, first + index * WordSize);
        var segment = new ElfSegment(at, Field("ELF p_offset", 0), Field("ELF p_vaddr", 1), Field("ELF p_paddr", 2), Field("ELF p_filesz", 3), Field("ELF p_memsz", 4));
        reader.Slice("ELF p_filesz", segment.FileOffset, segment.FileSize, at);
        if (type == Elf.Note)
        {
            noteSegments.Add((segment.FileOffset, segment.FileSize, at));
            return;
        }

        if (segment.FileSize > segment.MemorySize)
        {
            throw new ImageException("ELF p_filesz", at, $"0x{segment.FileSize:x} is more than p_memsz 0x{segment.MemorySize:x}");
        }

        if (segment.PhysicalAddress + segment.MemorySize < segment.PhysicalAddress)
        {
            throw new ImageException("ELF p_memsz", at, $"0x{segment.MemorySize:x} bytes at 0x{segment.PhysicalAddress:x} wrap around");
        }

        if (segment.MemorySize > 0)
        {
            segments.Add(segment);
        }
    }

    ulong Word(string field, long offset) => reader.Read(field, offset, WordSize);

    void Expect(string field, int offset, int size, params ReadOnlySpan<ulong> accepted)
    {
        var value = reader.Read(field, offset, size);
        if (!accepted.Contains(value))
        {
            throw new ImageException(field, offset, $"{value} is not {string.Join(" or ", accepted.ToArray())}");
        }
    }
}
