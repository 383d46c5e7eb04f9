using System.Text;

namespace Vmm.ControlTests.Kit.Http2;

/// <summary>HPACK (RFC 7541) as far as a test needs it: writes literals that no table keeps, reads what an encoder without a dynamic table and without Huffman writes.</summary>
internal static class Hpack
{
    /// <summary>Appendix A, names and values.</summary>
    static readonly (string Name, string Value)[] Static =
    [
        (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"), (":scheme", "http"), (":scheme", "https"),
        (":status", "200"), (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"),
        ("accept-charset", ""), ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""), ("access-control-allow-origin", ""),
        ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""), ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""),
        ("content-length", ""), ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""), ("expect", ""),
        ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""),
        ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""), ("referer", ""),
        ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""),
        ("vary", ""), ("via", ""), ("www-authenticate", ""),
    ];

    /// <summary>Literal without indexing, new name (§6.2.2). Any character up to 255 goes out as it is.</summary>
    public static byte[] Encode(params IEnumerable<(string Name, string Value)> fields)
    {
        var block = new MemoryStream();
        foreach (var (name, value) in fields)
        {
            block.WriteByte(0);
            WriteText(block, name);
            WriteText(block, value);
        }

        return block.ToArray();
    }

    /// <summary>Literal with indexing, new name (§6.2.1): enters the receiver's table.</summary>
    public static byte[] EncodeIndexed(string name, string value)
    {
        var block = new MemoryStream();
        block.WriteByte(0x40);
        WriteText(block, name);
        WriteText(block, value);
        return block.ToArray();
    }

    public static Dictionary<string, string> Decode(ReadOnlySpan<byte> block)
    {
        var fields = new Dictionary<string, string>();
        while (!block.IsEmpty)
        {
            var first = block[0];
            if ((first & 0x80) != 0)
            {
                var (name, value) = Static[ReadNumber(ref block, 7) - 1];
                fields[name] = value;
            }
            else if ((first & 0xE0) == 0x20)
            {
                ReadNumber(ref block, 5);
            }
            else
            {
                var index = ReadNumber(ref block, (first & 0x40) != 0 ? 6 : 4);
                var name = index == 0 ? ReadText(ref block) : Static[index - 1].Name;
                fields[name] = ReadText(ref block);
            }
        }

        return fields;
    }

    static void WriteText(MemoryStream block, string text)
    {
        WriteNumber(block, text.Length);
        block.Write(Encoding.Latin1.GetBytes(text));
    }

    static void WriteNumber(MemoryStream block, int value)
    {
        if (value < 127)
        {
            block.WriteByte((byte)value);
            return;
        }

        block.WriteByte(127);
        for (value -= 127; value >= 128; value >>= 7)
        {
            block.WriteByte((byte)(value | 0x80));
        }

        block.WriteByte((byte)value);
    }

    static int ReadNumber(ref ReadOnlySpan<byte> block, int bits)
    {
        var mask = (1 << bits) - 1;
        var value = block[0] & mask;
        block = block[1..];
        if (value < mask)
        {
            return value;
        }

        for (var shift = 0; ; shift += 7)
        {
            var b = block[0];
            block = block[1..];
            value += (b & 0x7F) << shift;
            if ((b & 0x80) == 0)
            {
                return value;
            }
        }
    }

    static string ReadText(ref ReadOnlySpan<byte> block)
    {
        var huffman = (block[0] & 0x80) != 0;
        var length = ReadNumber(ref block, 7);
        var text = huffman ? "(huffman)" : Encoding.Latin1.GetString(block[..length]);
        block = block[length..];
        return text;
    }
}
