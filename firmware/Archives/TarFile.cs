using System.Text;

namespace Vmm.Firmware.Archives;

/// <summary>Reads tar archives (POSIX.1-2001 ustar and pax, GNU long names) from a stream, front to back.</summary>
internal static class TarFile
{
    const int BlockSize = 512;
    const int LongestName = 1 << 16;
    const long LargestArchive = 16L << 30;

    /// <summary>Enumerates the entries. Content is kept where <paramref name="wanted"/> says so, of at most <paramref name="limit"/> bytes each.</summary>
    public static IEnumerable<ArchiveEntry> Read(Stream stream, Func<ArchiveEntry, bool> wanted, int limit)
    {
        var reader = new Reader(stream);
        var pending = new Dictionary<string, string>();
        while (reader.NextHeader() is { } header)
        {
            switch (header.Type)
            {
                case (byte)'L':
                    pending["path"] = Encoding.UTF8.GetString(reader.Content(header.Size, LongestName)).TrimEnd('\0');
                    continue;
                case (byte)'K':
                    pending["linkpath"] = Encoding.UTF8.GetString(reader.Content(header.Size, LongestName)).TrimEnd('\0');
                    continue;
                case (byte)'x':
                    ReadPax(reader.Content(header.Size, LongestName), pending, header.Offset);
                    continue;
                case (byte)'g':
                    reader.Skip(header.Size);
                    continue;
            }

            var entry = header.ToEntry(pending);
            pending.Clear();
            if (entry.Kind == ArchiveEntryKind.File && wanted(entry))
            {
                entry = entry with { Content = reader.Content(entry.Size, limit) };
            }
            else
            {
                reader.Skip(entry.Size);
            }

            yield return entry;
        }
    }

    /// <summary>Records "length key=value\n" of a pax extended header.</summary>
    static void ReadPax(ReadOnlySpan<byte> bytes, Dictionary<string, string> pending, long offset)
    {
        while (!bytes.IsEmpty)
        {
            var space = bytes.IndexOf((byte)' ');
            if (space <= 0 || !int.TryParse(bytes[..space], out var length) || length <= space + 1 || length > bytes.Length)
            {
                throw new ImageException("tar pax header", offset, "a record's length is wrong");
            }

            var record = Encoding.UTF8.GetString(bytes[(space + 1)..length]).TrimEnd('\n');
            var equals = record.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0)
            {
                pending[record[..equals]] = record[(equals + 1)..];
            }

            bytes = bytes[length..];
        }
    }

    readonly record struct Header(byte[] Block, long Offset, long Size)
    {
        public byte Type => Block[156];

        public ArchiveEntry ToEntry(Dictionary<string, string> pending)
        {
            var kind = Type switch
            {
                0 or (byte)'0' or (byte)'7' => ArchiveEntryKind.File,
                (byte)'1' => ArchiveEntryKind.HardLink,
                (byte)'2' => ArchiveEntryKind.SymbolicLink,
                (byte)'3' => ArchiveEntryKind.CharacterDevice,
                (byte)'4' => ArchiveEntryKind.BlockDevice,
                (byte)'5' => ArchiveEntryKind.Directory,
                (byte)'6' => ArchiveEntryKind.Fifo,
                _ => throw new ImageException("tar type flag", Offset + 156, $"0x{Type:x2} is unknown"),
            };
            var path = pending.GetValueOrDefault("path") ?? Name();
            var size = pending.TryGetValue("size", out var text)
                ? long.TryParse(text, out var stated) && stated >= 0 ? stated : throw new ImageException("tar pax size", Offset, "not a number")
                : Size;
            return new ArchiveEntry
            {
                Path = Normalize(path, Offset),
                Kind = kind,
                Mode = (int)Number(Block, 100, 8, Offset) & 0xFFF,
                Size = kind == ArchiveEntryKind.File ? size : 0,
                LinkTarget = pending.GetValueOrDefault("linkpath") ?? Text(Block, 157, 100),
                DeviceMajor = kind is ArchiveEntryKind.CharacterDevice or ArchiveEntryKind.BlockDevice ? (int)Number(Block, 329, 8, Offset) : 0,
                DeviceMinor = kind is ArchiveEntryKind.CharacterDevice or ArchiveEntryKind.BlockDevice ? (int)Number(Block, 337, 8, Offset) : 0,
            };
        }

        string Name()
        {
            var name = Text(Block, 0, 100);
            var posix = Block.AsSpan(257, 6).SequenceEqual("ustar\0"u8);
            var prefix = posix ? Text(Block, 345, 155) : "";
            return prefix.Length > 0 ? $"{prefix}/{name}" : name;
        }
    }

    static string Normalize(string path, long offset)
    {
        var parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries).Where(part => part != ".").ToArray();
        return parts.Contains("..") ? throw new ImageException("tar path", offset, "it climbs out of the archive with '..'") : string.Join('/', parts);
    }

    static string Text(byte[] block, int at, int length)
    {
        var field = block.AsSpan(at, length);
        var end = field.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? field : field[..end]);
    }

    /// <summary>Octal digits, or base 256 when the first bit is set.</summary>
    static long Number(byte[] block, int at, int length, long offset)
    {
        long value = 0;
        if (block[at] == 0x80)
        {
            foreach (var digit in block.AsSpan(at + 1, length - 1))
            {
                value = value > long.MaxValue >> 8 ? throw new ImageException("tar number", offset + at, "too large") : value << 8 | digit;
            }

            return value;
        }

        foreach (var digit in block.AsSpan(at, length).Trim(" \0"u8))
        {
            value = digit is >= (byte)'0' and <= (byte)'7' ? value << 3 | (long)(digit - '0')
                : throw new ImageException("tar number", offset + at, "not octal");
        }

        return value;
    }

    sealed class Reader(Stream stream)
    {
        long position;

        public Header? NextHeader()
        {
            var offset = position;
            var block = new byte[BlockSize];
            var count = stream.ReadAtLeast(block, BlockSize, throwOnEndOfStream: false);
            position += count;
            if (count == 0 || count == BlockSize && !block.AsSpan().ContainsAnyExcept((byte)0))
            {
                return null;
            }

            if (count < BlockSize || position > LargestArchive)
            {
                throw new ImageException("tar header", offset, count < BlockSize ? "the archive ends inside it" : "the archive goes on past 16 GiB");
            }

            var sum = 0;
            for (var i = 0; i < BlockSize; i++)
            {
                sum += i is >= 148 and < 156 ? ' ' : block[i];
            }

            if (Number(block, 148, 8, offset) != sum)
            {
                throw new ImageException("tar header checksum", offset + 148, "it does not match the header");
            }

            return new Header(block, offset, Number(block, 124, 12, offset));
        }

        public byte[] Content(long size, int limit)
        {
            if (size > limit)
            {
                throw new ImageException("tar entry size", position, $"{size} bytes are more than the {limit} that are accepted");
            }

            // Grown as bytes arrive, so that a stated size alone allocates nothing.
            var content = new byte[Math.Min(size, 1 << 20)];
            var length = 0;
            while (true)
            {
                var count = stream.ReadAtLeast(content.AsSpan(length), content.Length - length, throwOnEndOfStream: false);
                length += count;
                position += count;
                if (length < content.Length)
                {
                    throw new ImageException("tar entry", position, $"the archive ends {size - length} bytes before the entry does");
                }

                if (length == size)
                {
                    break;
                }

                Array.Resize(ref content, (int)Math.Min(size, 2L * content.Length));
            }

            Skip(-size & BlockSize - 1, padding: true);
            return content;
        }

        public void Skip(long size, bool padding = false)
        {
            var left = padding ? size : size + (-size & BlockSize - 1);
            Span<byte> scratch = stackalloc byte[4096];
            while (left > 0)
            {
                var count = stream.Read(scratch[..(int)Math.Min(left, scratch.Length)]);
                if (count == 0)
                {
                    throw new ImageException("tar entry", position, $"the archive ends {left} bytes before the entry does");
                }

                left -= count;
                position += count;
                if (position > LargestArchive)
                {
                    throw new ImageException("tar entry", position, "the archive goes on past 16 GiB");
                }
            }
        }
    }
}
