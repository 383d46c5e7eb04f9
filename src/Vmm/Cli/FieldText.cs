using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Vmm.Cli;

/// <summary>
/// Messages from words of the command line: <c>name=a spec.vcpus=2 spec.disks+='{"size_bytes":1048576}' text=@file</c>.
/// Paths are dotted, <c>+=</c> adds to a list, <c>@file</c> is a file's contents, and a message is JSON.
/// </summary>
internal static class FieldText
{
    static readonly JsonParser Parser = new(JsonParser.Settings.Default);

    /// <summary>The message.</summary>
    /// <exception cref="UsageException">A word names no field, or its value does not fit.</exception>
    public static IMessage Message(MessageDescriptor type, IEnumerable<string> words)
    {
        var root = new JsonObject();
        foreach (var word in words)
        {
            Set(type, root, word);
        }

        return Parse(type, root.ToJsonString());
    }

    /// <summary>A message from its JSON form; unknown fields are errors.</summary>
    /// <exception cref="UsageException">It is not the JSON form of this message.</exception>
    public static IMessage Parse(MessageDescriptor type, string json)
    {
        try
        {
            return Parser.Parse(json, type);
        }
        catch (Exception bad) when (bad is InvalidProtocolBufferException or InvalidJsonException or OverflowException)
        {
            throw new UsageException($"{type.Name}: {bad.Message}");
        }
    }

    static void Set(MessageDescriptor type, JsonObject root, string word)
    {
        var at = word.IndexOf('=', StringComparison.Ordinal);
        if (at <= 0)
        {
            throw new UsageException($"'{word}' is not field=value");
        }

        var adds = word[at - 1] == '+';
        var (message, json) = (type, root);
        var names = word[..(adds ? at - 1 : at)].Split('.');
        foreach (var name in names[..^1])
        {
            var inner = Field(message, name);
            message = inner is { FieldType: FieldType.Message, IsMap: false, IsRepeated: false } ? inner.MessageType : throw new UsageException($"{name} has no fields");
            json = (json[inner.Name] ??= new JsonObject()).AsObject();
        }

        var field = Field(message, names[^1]);
        var value = Value(field, word[(at + 1)..], adds);
        if (adds && field.IsRepeated && !field.IsMap)
        {
            (json[field.Name] ??= new JsonArray()).AsArray().Add(value);
        }
        else
        {
            json[field.Name] = adds ? throw new UsageException($"{field.Name} is not a list") : value;
        }
    }

    static FieldDescriptor Field(MessageDescriptor message, string name) =>
        message.FindFieldByName(name.Replace('-', '_')) ?? throw new UsageException($"{message.Name} has no field '{name}' (it has {string.Join(", ", message.Fields.InDeclarationOrder().Select(f => f.Name))})");

    static JsonNode? Value(FieldDescriptor field, string text, bool isElement)
    {
        if (field.FieldType == FieldType.Bytes)
        {
            return Convert.ToBase64String(text.StartsWith('@') ? File.ReadAllBytes(text[1..]) : Bytes(text));
        }

        text = text.StartsWith('@') ? File.ReadAllText(text[1..]) : text;
        if (field.FieldType == FieldType.Message && !field.IsRepeated && field.MessageType.FullName is "google.protobuf.Duration" or "google.protobuf.Timestamp")
        {
            // Text in JSON too: "1.5s".
            return text;
        }

        if (field.FieldType == FieldType.Message || field.IsRepeated && !isElement)
        {
            try
            {
                return JsonNode.Parse(text);
            }
            catch (JsonException bad)
            {
                throw new UsageException($"{field.Name}: {bad.Message}");
            }
        }

        return field.FieldType switch
        {
            FieldType.Bool => text is "true" or "on" or "yes" or "1" ? true : text is "false" or "off" or "no" or "0" ? false : throw new UsageException($"{field.Name}: '{text}' is not on or off"),
            FieldType.String => text,
            FieldType.Enum => EnumName(field, text),
            // Numbers are strings in JSON when they have 64 bits; the parser takes strings for all.
            _ when text.StartsWith("0x", StringComparison.OrdinalIgnoreCase) && ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var number)
                => number.ToString(CultureInfo.InvariantCulture),
            _ => text,
        };
    }

    /// <summary>The value's full name from its last words in any case: "skip" is IDLE_MODE_SKIP.</summary>
    static string EnumName(FieldDescriptor field, string text)
    {
        var name = text.Replace('-', '_').ToUpperInvariant();
        var matches = field.EnumType.Values.Where(v => v.Name == name || v.Name.EndsWith("_" + name, StringComparison.Ordinal)).ToList();
        return matches.Count switch
        {
            0 => throw new UsageException($"{field.Name}: '{text}' is not one of {string.Join(", ", field.EnumType.Values.Select(v => v.Name))}"),
            1 => matches[0].Name,
            _ => matches.MinBy(m => m.Name.Length)!.Name,
        };
    }

    /// <summary>Text with the escapes of console scripts: \n, \r, \t, \\ and \xNN.</summary>
    static byte[] Bytes(string text)
    {
        var bytes = new List<byte>();
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\' || i + 1 == text.Length)
            {
                bytes.AddRange(Encoding.UTF8.GetBytes(text, i, char.IsHighSurrogate(text[i]) && i + 1 < text.Length ? 2 : 1));
                i += char.IsHighSurrogate(text[i]) ? 1 : 0;
                continue;
            }

            switch (text[++i])
            {
                case 'n':
                    bytes.Add((byte)'\n');
                    break;
                case 'r':
                    bytes.Add((byte)'\r');
                    break;
                case 't':
                    bytes.Add((byte)'\t');
                    break;
                case 'x' when i + 2 < text.Length && byte.TryParse(text.AsSpan(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value):
                    bytes.Add(value);
                    i += 2;
                    break;
                default:
                    bytes.Add((byte)text[i]);
                    break;
            }
        }

        return [.. bytes];
    }
}
