using System.Text;

namespace Vmm.Firmware.Acpi;

/// <summary>Encodes the few terms of AML that a static DSDT needs (ACPI 6.4 §20.2).</summary>
internal static class Aml
{
    const byte NameOp = 0x08, ScopeOp = 0x10, BufferOp = 0x11, PackageOp = 0x12, VarPackageOp = 0x13, ExtendedOp = 0x5B, DeviceOp = 0x82;
    const byte DualNamePrefix = 0x2E, MultiNamePrefix = 0x2F;
    const int MostPackageElements = 255;

    /// <summary>An integer in its shortest form.</summary>
    public static byte[] Integer(ulong value) => value switch
    {
        0 => [0x00],
        1 => [0x01],
        <= byte.MaxValue => [0x0A, (byte)value],
        <= ushort.MaxValue => [0x0B, .. Bytes(value, 2)],
        <= uint.MaxValue => [0x0C, .. Bytes(value, 4)],
        _ => [0x0E, .. Bytes(value, 8)],
    };

    /// <summary>A string.</summary>
    public static byte[] Text(string text) => [0x0D, .. Encoding.ASCII.GetBytes(text), 0];

    /// <summary>A seven-character EISA id, such as PNP0A08, as the integer it stands for (§19.3.4).</summary>
    public static byte[] EisaId(string id)
    {
        var letters = (id[0] - '@') << 10 | (id[1] - '@') << 5 | (id[2] - '@');
        var product = Convert.ToUInt16(id[3..], 16);
        // The id is big endian; AML integers are little endian.
        return [0x0C, (byte)(letters >> 8), (byte)letters, (byte)(product >> 8), (byte)product];
    }

    /// <summary>Name (path, value).</summary>
    public static byte[] Name(string path, byte[] value) => [NameOp, .. Path(path), .. value];

    /// <summary>Scope (path) { body }.</summary>
    public static byte[] Scope(string path, params IEnumerable<byte[]> body) => [ScopeOp, .. Sized([Path(path), .. body])];

    /// <summary>Device (name) { body }.</summary>
    public static byte[] Device(string name, params IEnumerable<byte[]> body) => [ExtendedOp, DeviceOp, .. Sized([Path(name), .. body])];

    /// <summary>Package { elements }; above 255 elements a VarPackage.</summary>
    public static byte[] Package(params IReadOnlyCollection<byte[]> elements) => elements.Count <= MostPackageElements
        ? [PackageOp, .. Sized([[(byte)elements.Count], .. elements])]
        : [VarPackageOp, .. Sized([Integer((ulong)elements.Count), .. elements])];

    /// <summary>Buffer { bytes }.</summary>
    public static byte[] Buffer(byte[] bytes) => [BufferOp, .. Sized([Integer((ulong)bytes.Length), bytes])];

    /// <summary>A name path: segments of up to four characters, separated by dots, the root as a backslash.</summary>
    public static byte[] Path(string path)
    {
        var rooted = path.StartsWith('\\');
        var segments = path[(rooted ? 1 : 0)..].Split('.', StringSplitOptions.RemoveEmptyEntries);
        var names = Encoding.ASCII.GetBytes(string.Concat(segments.Select(segment => segment.PadRight(4, '_'))));
        byte[] prefix = segments.Length switch
        {
            0 => [0x00],
            1 => [],
            2 => [DualNamePrefix],
            _ => [MultiNamePrefix, (byte)segments.Length],
        };
        return rooted ? [(byte)'\\', .. prefix, .. names] : [.. prefix, .. names];
    }

    /// <summary>PkgLength (§20.2.4) before the parts; it counts itself.</summary>
    static byte[] Sized(IEnumerable<byte[]> parts)
    {
        byte[] body = [.. parts.SelectMany(part => part)];
        for (var extra = 0; ; extra++)
        {
            var length = body.Length + 1 + extra;
            if (extra == 0 && length < 1 << 6)
            {
                return [(byte)length, .. body];
            }

            if (extra > 0 && length < 1 << 4 + 8 * extra)
            {
                return [(byte)(extra << 6 | length & 15), .. Bytes((ulong)length >> 4, extra), .. body];
            }
        }
    }

    static byte[] Bytes(ulong value, int count)
    {
        var bytes = new byte[count];
        for (var i = 0; i < count; i++)
        {
            bytes[i] = (byte)(value >> 8 * i);
        }

        return bytes;
    }
}
