using System.Buffers.Binary;

namespace Vmm.Differential.Native;

/// <summary>A static x86-64 ELF executable of one code segment and one zeroed data segment.</summary>
internal static class ElfImage
{
    public const ulong Base = 0x0040_0000, CodeOffset = 0x1000;

    public static byte[] Build(ReadOnlySpan<byte> code, ulong entry, ulong dataBase, ulong dataBytes)
    {
        var file = new byte[(int)CodeOffset + code.Length];
        code.CopyTo(file.AsSpan((int)CodeOffset));
        ReadOnlySpan<byte> identity = [0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        identity.CopyTo(file);
        U16(file, 16, 2);
        U16(file, 18, 62);
        U32(file, 20, 1);
        U64(file, 24, entry);
        U64(file, 32, 64);
        U16(file, 52, 64);
        U16(file, 54, 56);
        U16(file, 56, 2);
        Segment(file.AsSpan(64), 5, 0, Base, (ulong)file.Length, (ulong)file.Length);
        Segment(file.AsSpan(120), 6, 0, dataBase, 0, dataBytes);
        return file;
    }

    static void Segment(Span<byte> at, uint flags, ulong offset, ulong address, ulong fileBytes, ulong memoryBytes)
    {
        U32(at, 0, 1);
        U32(at, 4, flags);
        U64(at, 8, offset);
        U64(at, 16, address);
        U64(at, 24, address);
        U64(at, 32, fileBytes);
        U64(at, 40, memoryBytes);
        U64(at, 48, 0x1000);
    }

    static void U16(Span<byte> to, int at, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(to[at..], value);

    static void U32(Span<byte> to, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(to[at..], value);

    static void U64(Span<byte> to, int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(to[at..], value);
}
