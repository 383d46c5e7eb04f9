using System.Buffers.Binary;
using Vmm.Specs.Boot;

namespace Vmm.Firmware.BuiltIn;

/// <summary>Writes a 32-bit ELF executable that is loaded by physical address and can be entered by multiboot and by PVH.</summary>
internal static class GuestImage
{
    const int Alignment = 16;
    static readonly byte[] NoteOwner = [.. "Xen\0"u8];

    /// <summary>The file.</summary>
    /// <param name="entry">Entry point.</param>
    /// <param name="segments">What is loaded; each is followed by zeros up to its length in memory.</param>
    public static byte[] Write(uint entry, params ReadOnlySpan<(uint Address, byte[] Bytes, uint Length)> segments)
    {
        var headers = Elf.HeaderSize32 + (segments.Length + 1) * Elf.ProgramHeaderSize32;
        var file = new List<byte>(new byte[headers]);
        var note = Note(entry);
        var noteAt = Append(file, note);
        Span<byte> header = new byte[headers];
        WriteHeader(header, entry, segments.Length + 1);
        WriteProgramHeader(header[Elf.HeaderSize32..], Elf.Note, noteAt, 0, note.Length, (uint)note.Length);
        for (var i = 0; i < segments.Length; i++)
        {
            var (address, bytes, length) = segments[i];
            var at = Append(file, bytes);
            WriteProgramHeader(header[(Elf.HeaderSize32 + (i + 1) * Elf.ProgramHeaderSize32)..], Elf.Load, at, address, bytes.Length, length);
        }

        var image = file.ToArray();
        header.CopyTo(image);
        return image;
    }

    static int Append(List<byte> file, byte[] bytes)
    {
        file.AddRange(new byte[-file.Count & (Alignment - 1)]);
        var at = file.Count;
        file.AddRange(bytes);
        return at;
    }

    static byte[] Note(uint entry)
    {
        var note = new byte[12 + NoteOwner.Length + 4];
        Word(note, 0, (uint)NoteOwner.Length);
        Word(note, 4, 4);
        Word(note, 8, HvmStartInfo.Phys32EntryNote);
        NoteOwner.CopyTo(note, 12);
        Word(note, 12 + NoteOwner.Length, entry);
        return note;
    }

    static void WriteHeader(Span<byte> header, uint entry, int count)
    {
        Word(header, 0, Elf.Magic);
        (header[Elf.Class], header[Elf.Data], header[6]) = (1, 1, 1);
        Half(header, Elf.Type, Elf.TypeExec);
        Half(header, Elf.Machine, Elf.Machine386);
        Word(header, 20, 1);
        Word(header, Elf.Entry, entry);
        Word(header, 28, Elf.HeaderSize32);
        Half(header, 40, Elf.HeaderSize32);
        Half(header, 42, Elf.ProgramHeaderSize32);
        Half(header, 44, (ushort)count);
    }

    static void WriteProgramHeader(Span<byte> header, uint type, int offset, uint address, int size, uint length)
    {
        Word(header, 0, type);
        Word(header, 4, (uint)offset);
        Word(header, 8, address);
        Word(header, 12, address);
        Word(header, 16, (uint)size);
        Word(header, 20, length);
        Word(header, 24, 7);
        Word(header, 28, Alignment);
    }

    static void Word(Span<byte> bytes, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes[at..], value);

    static void Half(Span<byte> bytes, int at, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(bytes[at..], value);
}
