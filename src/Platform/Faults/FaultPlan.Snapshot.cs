using System.Text.Json;
using System.Text.Json.Serialization;
using Vmm.Platform.Snapshots;

namespace Vmm.Platform.Faults;

/// <content>Snapshot: rules with what they counted, the position of their streams, and what is held back. Firings are a log, not state.</content>
public sealed partial class FaultPlan
{
    readonly HeldEffects held;

    /// <inheritdoc/>
    public string SectionName => "faults";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U64(FiringCount);
        writer.U16((ushort)rules.Count);
        foreach (var rule in rules)
        {
            writer.Text(JsonSerializer.Serialize(rule.Rule, FaultRuleJson.Default.FaultRule));
            writer.U64(rule.Matched);
            writer.U64(rule.Fired);
            writer.U64(rule.Stream);
        }

        held.Save(writer);
        writer.U16((ushort)removed.Count);
        foreach (var device in removed)
        {
            writer.U16(device.Value);
        }
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        FiringCount = reader.U64();
        firings.Clear();
        rules.Clear();
        var count = reader.U16();
        if (count > RuleLimit)
        {
            throw reader.Bad($"{count} rules exceed {RuleLimit}");
        }

        for (var i = 0; i < count; i++)
        {
            rules.Add(new(Parse(reader, i), clock) { Matched = reader.U64(), Fired = reader.U64(), Stream = reader.U64() });
        }

        held.Load(reader);
        for (var left = reader.U16(); left > 0; left--)
        {
            RemoveDevice(new(reader.U16()));
        }

        reader.End();
        Rearm();
    }

    static FaultRule Parse(SnapshotReader reader, int number)
    {
        FaultRule? rule;
        try
        {
            rule = JsonSerializer.Deserialize(reader.Text(), FaultRuleJson.Default.FaultRule);
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw reader.Bad($"fault rule {number}: {e.Message}");
        }

        if (rule?.Name == null || rule.Match == null || rule.Action == null)
        {
            throw reader.Bad($"fault rule {number} is incomplete");
        }

        return FaultRuleCheck.Violations(rule) is [var first, ..]
            ? throw reader.Bad($"fault rule {number}: {first.Field}: {first.Message}")
            : rule;
    }
}

/// <summary>How rules are written into a snapshot.</summary>
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(FaultRule))]
sealed partial class FaultRuleJson : JsonSerializerContext;
