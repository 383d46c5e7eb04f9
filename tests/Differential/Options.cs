using System.Globalization;
using Vmm.Differential.Generation;

namespace Vmm.Differential;

/// <summary>Command line of a run by hand.</summary>
internal sealed record Options
{
    public long Cases { get; init; } = 1_000_000;

    public ulong Seed { get; init; } = 1;

    public int Batch { get; init; } = -1;

    public int Case { get; init; } = -1;

    public bool EveryCode { get; init; }

    /// <summary>Sequences are made of one group's instructions only.</summary>
    public bool Pure { get; init; }

    public string Subject { get; init; } = "";

    public EncodingGroup[] Groups { get; init; } = Enum.GetValues<EncodingGroup>();

    public static Options Parse(string[] args)
    {
        var options = new Options();
        for (var i = 0; i < args.Length; i++)
        {
            if (args[i] == "--codes")
            {
                options = options with { EveryCode = true };
                continue;
            }

            if (args[i] == "--pure")
            {
                options = options with { Pure = true };
                continue;
            }

            var value = i + 1 < args.Length ? args[i + 1] : throw new ArgumentException($"{args[i]}: value missing");
            options = args[i++] switch
            {
                "--cases" => options with { Cases = long.Parse(value, CultureInfo.InvariantCulture) },
                "--seed" => options with { Seed = ulong.Parse(value, CultureInfo.InvariantCulture) },
                "--batch" => options with { Batch = int.Parse(value, CultureInfo.InvariantCulture) },
                "--case" => options with { Case = int.Parse(value, CultureInfo.InvariantCulture) },
                "--group" => options with { Groups = [.. value.Split(',').Select(Enum.Parse<EncodingGroup>)] },
                "--subject" => options with { Subject = value },
                var other => throw new ArgumentException($"{other}: unknown option"),
            };
        }

        return options;
    }
}
