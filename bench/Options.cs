using System.Globalization;

namespace Vmm.Bench;

/// <summary>The command line: a verb, then options.</summary>
internal sealed class Options
{
    static readonly string[] Flags = ["--quick"];
    static readonly string[] Valued = ["--rounds", "--engines", "--loops", "--output", "--kernel", "--initrd", "--append", "--until", "--memory", "--kernel-package", "--busybox", "--iommu", "--policies"];

    readonly Dictionary<string, string> values = [];

    /// <summary>Parses it.</summary>
    /// <exception cref="FormatException">It is not understood.</exception>
    public Options(string[] arguments)
    {
        for (var i = 0; i < arguments.Length; i++)
        {
            var word = arguments[i];
            if (Flags.Contains(word))
            {
                values[word] = "";
            }
            else if (Valued.Contains(word))
            {
                values[word] = ++i < arguments.Length ? arguments[i] : throw new FormatException($"{word}: a value is needed");
            }
            else if (Verb.Length == 0)
            {
                Verb = word;
            }
            else if (Operand == null && !word.StartsWith('-'))
            {
                Operand = word;
            }
            else
            {
                throw new FormatException($"'{word}' is not understood");
            }
        }
    }

    /// <summary>What to do.</summary>
    public string Verb { get; } = "";

    /// <summary>A word that is no option.</summary>
    public string? Operand { get; }

    /// <summary>True when the flag is there.</summary>
    public bool Has(string flag) => values.ContainsKey(flag);

    /// <summary>The option's text, or null.</summary>
    public string? Text(string option) => values.GetValueOrDefault(option);

    /// <summary>The option's number.</summary>
    public int Number(string option, int otherwise, int least, int most) => !values.TryGetValue(option, out var text) ? otherwise
        : int.TryParse(text, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most ? number
        : throw new FormatException($"{option}: '{text}' is not {least} to {most}");

    /// <summary>The option's comma-separated words, or all of them.</summary>
    public IReadOnlyList<string> Words(string option, IReadOnlyList<string> all)
    {
        var words = Text(option)?.Split(',', StringSplitOptions.RemoveEmptyEntries) ?? [.. all];
        return words.FirstOrDefault(w => !all.Contains(w)) is { } bad ? throw new FormatException($"{option}: '{bad}' is not one of {string.Join(", ", all)}") : words;
    }
}
