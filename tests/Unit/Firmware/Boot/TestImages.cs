using System.Buffers.Binary;
using System.Text;
using Vmm.Firmware.Boot;

namespace Vmm.Unit.Firmware.Boot;

/// <summary>Builds images byte by byte as the specifications lay them out, independently of the constants under test.</summary>
internal static class TestImages
{
    public const ulong Ram = 64 << 20;

    public sealed record Segment(ulong Physical, byte[] Bytes, ulong MemorySize, ulong? Virtual = null);

    public static void Put16(byte[] image, int at, int value) => BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(at), (ushort)value);

    public static void Put32(byte[] image, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(at), value);

    public static void Put64(byte[] image, int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(at), value);

    public static byte[] Note(string owner, uint type, byte[] body)
    {
        var note = new byte[12 + (owner.Length + 4 & ~3) + (body.Length + 3 & ~3)];
        Put32(note, 0, (uint)owner.Length + 1);
        Put32(note, 4, (uint)body.Length);
        Put32(note, 8, type);
        Encoding.ASCII.GetBytes(owner).CopyTo(note, 12);
        body.CopyTo(note, 12 + (owner.Length + 4 & ~3));
        return note;
    }

    /// <summary>ELF header at 0, program headers at 64, the notes and then the segments from 0x400 on.</summary>
    public static byte[] Elf64(ulong entry, byte[] notes, params Segment[] segments)
    {
        var image = new byte[0x400 + notes.Length + segments.Sum(segment => segment.Bytes.Length)];
        new byte[] { 0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1 }.CopyTo(image, 0);
        Put16(image, 16, 2);
        Put16(image, 18, 62);
        Put32(image, 20, 1);
        Put64(image, 24, entry);
        Put64(image, 32, 64);
        Put16(image, 52, 64);
        Put16(image, 54, 56);
        Put16(image, 56, segments.Length + 1);
        Header64(image, 64, 4, 0x400, 0, 0, (ulong)notes.Length, (ulong)notes.Length);
        notes.CopyTo(image, 0x400);
        var at = 0x400 + notes.Length;
        for (var i = 0; i < segments.Length; i++)
        {
            var (physical, bytes, size, virtualAddress) = segments[i];
            Header64(image, 64 + 56 * (i + 1), 1, (ulong)at, virtualAddress ?? physical, physical, (ulong)bytes.Length, size);
            bytes.CopyTo(image, at);
            at += bytes.Length;
        }

        return image;
    }

    static void Header64(byte[] image, int at, uint type, ulong offset, ulong virtualAddress, ulong physical, ulong fileSize, ulong memorySize)
    {
        Put32(image, at, type);
        Put32(image, at + 4, 7);
        Put64(image, at + 8, offset);
        Put64(image, at + 16, virtualAddress);
        Put64(image, at + 24, physical);
        Put64(image, at + 32, fileSize);
        Put64(image, at + 40, memorySize);
        Put64(image, at + 48, 4);
    }

    /// <summary>ELF header at 0, one program header at 52, the segment at 0x100.</summary>
    public static byte[] Elf32(uint entry, uint physical, byte[] bytes, uint memorySize, uint? virtualAddress = null)
    {
        var image = new byte[0x100 + bytes.Length];
        new byte[] { 0x7F, (byte)'E', (byte)'L', (byte)'F', 1, 1, 1 }.CopyTo(image, 0);
        Put16(image, 16, 2);
        Put16(image, 18, 3);
        Put32(image, 20, 1);
        Put32(image, 24, entry);
        Put32(image, 28, 52);
        Put16(image, 40, 52);
        Put16(image, 42, 32);
        Put16(image, 44, 1);
        Put32(image, 52, 1);
        Put32(image, 56, 0x100);
        Put32(image, 60, virtualAddress ?? physical);
        Put32(image, 64, physical);
        Put32(image, 68, (uint)bytes.Length);
        Put32(image, 72, memorySize);
        Put32(image, 76, 7);
        bytes.CopyTo(image, 0x100);
        return image;
    }

    public static byte[] MultibootHeader(uint flags, params uint[] addresses)
    {
        var header = new byte[12 + 4 * addresses.Length];
        Put32(header, 0, 0x1BADB002);
        Put32(header, 4, flags);
        Put32(header, 8, ~(0x1BADB002 + flags) + 1);
        for (var i = 0; i < addresses.Length; i++)
        {
            Put32(header, 12 + 4 * i, addresses[i]);
        }

        return header;
    }

    /// <summary>A bzImage of protocol 2.15 with one setup sector and the given payload 0x300 bytes into the code.</summary>
    public static byte[] BzImage(byte[] payload, int xloadflags = 1, int version = 0x20F, uint initSize = 0x200000)
    {
        const int CodeStart = 0x400;
        var image = new byte[CodeStart + 0x300 + payload.Length];
        image[0x1F1] = 1;
        Put16(image, 0x1FE, 0xAA55);
        image[0x200] = 0xEB;
        image[0x201] = 0x6A;
        Put32(image, 0x202, 0x53726448);
        Put16(image, 0x206, version);
        image[0x211] = 1;
        Put32(image, 0x214, 0x100000);
        Put32(image, 0x22C, 0x7FFFFFFF);
        Put32(image, 0x230, 0x200000);
        image[0x234] = 1;
        Put16(image, 0x236, xloadflags);
        Put32(image, 0x238, 2047);
        Put32(image, 0x248, 0x300);
        Put32(image, 0x24C, (uint)payload.Length);
        Put64(image, 0x258, 0x1000000);
        Put32(image, 0x260, initSize);
        image[CodeStart] = 0xFA;
        image[CodeStart + 0x200] = 0xFC;
        payload.CopyTo(image, CodeStart + 0x300);
        return image;
    }

    /// <summary>An LZ4 legacy frame of one block that is all literals.</summary>
    public static byte[] Lz4Stored(byte[] data)
    {
        var block = new List<byte> { 0xF0 };
        var rest = data.Length - 15;
        for (; rest >= 255; rest -= 255)
        {
            block.Add(255);
        }

        block.Add((byte)rest);
        block.AddRange(data);
        byte[] frame = [0x02, 0x21, 0x4C, 0x18, 0, 0, 0, 0, .. block];
        Put32(frame, 4, (uint)block.Count);
        return frame;
    }

    /// <summary>A kernel as an ELF file with Linux's and Xen's notes, in two segments; entry and PVH entry in the first.</summary>
    public static byte[] Vmlinux() => Elf64(
        0x1000010,
        [.. Note("Linux", 0x101, [1]), .. Note("Xen", 6, "linux\0"u8.ToArray()), .. Note("Xen", 18, BitConverter.GetBytes(0x1000020UL))],
        new Segment(0x1000000, [.. Enumerable.Range(0, 100).Select(i => (byte)i)], 0x3000, 0xFFFFFFFF81000000),
        new Segment(0x1200000, [1, 2, 3], 0x100000, 0xFFFFFFFF81200000));

    /// <summary>The same as a bzImage, packed with LZ4.</summary>
    public static byte[] PackedVmlinux()
    {
        var kernel = Vmlinux();
        return BzImage([.. Lz4Stored(kernel), .. BitConverter.GetBytes(kernel.Length)]);
    }

    public static BootRequest Request(byte[] image, BootProtocol protocol = BootProtocol.Auto) => new() { RamBytes = Ram, Image = image, Protocol = protocol };
}
