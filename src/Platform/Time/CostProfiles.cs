using System.Text.Json;

namespace Vmm.Platform.Time;

/// <summary>
/// Cost profiles: JSON with <c>name</c>, <c>kernel-devices</c> and <c>costs</c>. A file of the user's may name a
/// <c>base</c> profile and give only what differs.
/// </summary>
public static class CostProfiles
{
    const string Folder = "Vmm.Platform.Time.Profiles.";

    static readonly JsonDocumentOptions Lenient = new() { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip, MaxDepth = 8 };

    /// <summary>Names of the built-in profiles.</summary>
    public static IReadOnlyList<string> Names { get; } =
        [.. typeof(CostProfiles).Assembly.GetManifestResourceNames()
            .Where(static n => n.StartsWith(Folder, StringComparison.Ordinal))
            .Select(static n => n[Folder.Length..^".json".Length]).Order(StringComparer.Ordinal)];

    /// <summary>A built-in profile.</summary>
    /// <exception cref="CostException">There is none of that name.</exception>
    public static CostModel Get(string name)
    {
        if (!Names.Contains(name))
        {
            throw new CostException("profile", $"'{name}' is not {string.Join(", ", Names)}");
        }

        using var stream = typeof(CostProfiles).Assembly.GetManifestResourceStream($"{Folder}{name}.json")!;
        using var bytes = new MemoryStream();
        stream.CopyTo(bytes);
        return Parse(bytes.ToArray());
    }

    /// <summary>Reads a profile.</summary>
    /// <exception cref="CostException">It is not JSON, or a field is missing, unknown or out of range; the message names it.</exception>
    public static CostModel Parse(ReadOnlyMemory<byte> json)
    {
        try
        {
            using var document = JsonDocument.Parse(json, Lenient);
            return Read(document.RootElement);
        }
        catch (JsonException bad)
        {
            throw new CostException("json", bad.Message);
        }
    }

    static CostModel Read(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw new CostException("json", "the profile is not an object");
        }

        var start = root.TryGetProperty("base", out var named) ? Get(Text("base", named)) : null;
        var model = new CostModel(
            root.TryGetProperty("name", out var name) ? Text("name", name) : start?.Profile ?? throw new CostException("name", "is missing"),
            start == null ? new ulong[CostKinds.Count] : Prices(start), start?.KernelDevices ?? []);
        var given = start == null ? new bool[CostKinds.Priced] : null;
        foreach (var field in root.EnumerateObject())
        {
            model = field.Name switch
            {
                "base" or "name" or "description" => model,
                "kernel-devices" => model.WithKernelDevices(List(field)),
                "costs" when field.Value.ValueKind == JsonValueKind.Object => Costs(model, field.Value, given),
                "costs" => throw new CostException("costs", "is not an object"),
                _ => throw new CostException(field.Name, "is not a field of a profile (base, name, description, kernel-devices, costs)"),
            };
        }

        var missing = given == null ? -1 : Array.IndexOf(given, false);
        return missing < 0 ? model : throw new CostException($"costs.{((CostKind)missing).Key()}", "is missing, and no base is named");
    }

    static CostModel Costs(CostModel model, JsonElement costs, bool[]? given)
    {
        foreach (var field in costs.EnumerateObject())
        {
            if (!CostKinds.TryParse(field.Name, out var kind))
            {
                throw new CostException($"costs.{field.Name}", $"is not a cost (known: {string.Join(", ", CostKinds.PricedKeys)})");
            }

            if (field.Value.ValueKind != JsonValueKind.Number || !field.Value.TryGetUInt64(out var cycles))
            {
                throw new CostException($"costs.{field.Name}", $"{field.Value.GetRawText()} is not a number of cycles");
            }

            try
            {
                model = model.With(kind, cycles);
            }
            catch (CostException bad)
            {
                throw new CostException("costs." + bad.Field, bad.Message[(bad.Field.Length + 2)..]);
            }

            if (given != null)
            {
                given[(int)kind] = true;
            }
        }

        return model;
    }

    static ulong[] Prices(CostModel model)
    {
        var prices = new ulong[CostKinds.Count];
        for (var i = 0; i < CostKinds.Priced; i++)
        {
            prices[i] = model[(CostKind)i];
        }

        return prices;
    }

    static string Text(string field, JsonElement value) =>
        value.ValueKind == JsonValueKind.String && value.GetString() is { Length: > 0 and <= 64 } text ? text : throw new CostException(field, "is not a text of 1 to 64 characters");

    static IEnumerable<string> List(JsonProperty field) => field.Value.ValueKind == JsonValueKind.Array
        ? [.. field.Value.EnumerateArray().Select(v => Text(field.Name, v))]
        : throw new CostException(field.Name, "is not a list of device names");
}
