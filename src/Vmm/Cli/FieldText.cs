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

    /// <summary>One word: a path, its fields from the outermost, and what the last of them gets.</summary>
    readonly record struct Assignment(string Path, IReadOnlyList<FieldDescriptor> Way, JsonNode? Value, bool Adds);

    /// <summary>The message.</summary>
    /// <exception cref="UsageException">A word names no field, or its value does not fit; the message has its path.</exception>
    public static IMessage Message(MessageDescriptor type, IEnumerable<string> words)
    {
        var root = new JsonObject();
        foreach (var word in words)
        {
            // Alone first: what is wrong with a value names its field then.
            var assignment = Read(type, word);
            var alone = new JsonObject();
            Put(alone, assignment);
            Parse(type, alone.ToJsonString(), assignment.Path);
            try
            {
                Put(root, assignment);
            }
            catch (Exception bad) when (bad is InvalidOperationException or ArgumentException)
            {
                throw new UsageException($"{assignment.Path}: does not go together with an earlier word");
            }
        }

        return Parse(type, root.ToJsonString());
    }

    /// <summary>A message from its JSON form; unknown fields are errors.</summary>
    /// <param name="type">The message.</param>
    /// <param name="json">The text.</param>
    /// <param name="what">Names it in errors; null: by its type.</param>
    /// <exception cref="UsageException">It is not the JSON form of this message.</exception>
    public static IMessage Parse(MessageDescriptor type, string json, string? what = null)
    {
        try
        {
            return Parser.Parse(json, type);
        }
        catch (Exception bad) when (bad is InvalidProtocolBufferException or InvalidJsonException or OverflowException)
        {
            throw new UsageException($"{what ?? type.Name}: {bad.Message}");
        }
    }

    static Assignment Read(MessageDescriptor type, string word)
    {
        var at = word.IndexOf('=', StringComparison.Ordinal);
        if (at <= 0)
        {
            throw new UsageException($"'{word}' is not field=value");
        }

        var adds = word[at - 1] == '+';
        var path = word[..(adds ? at - 1 : at)];
        var way = new List<FieldDescriptor>();
        foreach (var name in path.Split('.'))
        {
            if (way.Count != 0)
            {
                type = way[^1] is { FieldType: FieldType.Message, IsMap: false, IsRepeated: false } outer ? outer.MessageType : throw new UsageException($"{path}: {way[^1].Name} has no fields");
            }

            way.Add(Field(type, name));
        }

        return adds && (!way[^1].IsRepeated || way[^1].IsMap)
            ? throw new UsageException($"{path}: not a list, so += adds nothing")
            : new(path, way, Value(way[^1], path, word[(at + 1)..], adds), adds);
    }

    static void Put(JsonObject json, in Assignment assignment)
    {
        foreach (var outer in assignment.Way.SkipLast(1))
        {
            json = (json[outer.Name] ??= new JsonObject()).AsObject();
        }

        var (name, value) = (assignment.Way[^1].Name, assignment.Value?.DeepClone());
        if (assignment.Adds)
        {
            (json[name] ??= new JsonArray()).AsArray().Add(value);
        }
        else
        {
            json[name] = value;
        }
    }

    static FieldDescriptor Field(MessageDescriptor message, string name) =>
        message.FindFieldByName(name.Replace('-', '_')) ?? throw new UsageException($"{message.Name} has no field '{name}' (it has {string.Join(", ", message.Fields.InDeclarationOrder().Select(f => f.Name))})");

    static JsonNode? Value(FieldDescriptor field, string path, string text, bool isElement)
    {
        try
        {
            if (field.FieldType == FieldType.Bytes)
            {
                return Convert.ToBase64String(text.StartsWith('@') ? File.ReadAllBytes(text[1..]) : Bytes(text));
            }

            text = text.StartsWith('@') ? File.ReadAllText(text[1..]) : text;
        }
        catch (Exception bad) when (bad is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new UsageException($"{path}: {bad.Message}");
        }

        return field.FieldType == FieldType.Bytes || IsText(field) ? text : Parsed(field, path, text, isElement);
    }

    /// <summary>Durations and timestamps are text in JSON too: "1.5s".</summary>
    static bool IsText(FieldDescriptor field) => field.FieldType == FieldType.Message && !field.IsRepeated && field.MessageType.FullName is "google.protobuf.Duration" or "google.protobuf.Timestamp";

    static JsonNode? Parsed(FieldDescriptor field, string path, string text, bool isElement)
    {
        if (field.FieldType == FieldType.Message || field.IsRepeated && !isElement)
        {
            try
            {
                return JsonNode.Parse(text);
            }
            catch (JsonException bad)
            {
                throw new UsageException($"{path}: {bad.Message}");
            }
        }

        return field.FieldType switch
        {
            FieldType.Bool => OptionText.TryFlag(text, out var isOn) ? isOn : throw new UsageException($"{path}: '{text}' is not on or off"),
            FieldType.String => text,
            FieldType.Enum => EnumName(field, path, text),
            // Numbers are strings in JSON when they have 64 bits; the parser takes strings for all.
            _ when text.StartsWith("0x", StringComparison.OrdinalIgnoreCase) && ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var number)
                => number.ToString(CultureInfo.InvariantCulture),
            _ => text,
        };
    }

    /// <summary>The value's full name from its last words in any case: "skip" is IDLE_MODE_SKIP.</summary>
    static string EnumName(FieldDescriptor field, string path, string text)
    {
        var name = text.Replace('-', '_').ToUpperInvariant();
        var matches = field.EnumType.Values.Where(v => v.Name == name || v.Name.EndsWith("_" + name, StringComparison.Ordinal)).ToList();
        return matches.Count switch
        {
            0 => throw new UsageException($"{path}: '{text}' is not one of {string.Join(", ", field.EnumType.Values.Select(v => v.Name))}"),
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
