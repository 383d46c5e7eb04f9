using System.Globalization;

namespace Vmm.Cli;

/// <summary>One setting of a device, for the command line and for the API alike.</summary>
/// <param name="Name">Its name on the command line.</param>
/// <param name="Takes">What its value may be, in words.</param>
/// <param name="Set">The options with this value; null when it is not one of those that the setting takes.</param>
internal sealed record Setting<T>(string Name, string Takes, Func<T, string, T?> Set)
    where T : class
{
    /// <summary>Field of the API's message that means the same, or null.</summary>
    public string? Field { get; init; }
}

/// <summary>Kinds of setting.</summary>
internal static class Setting
{
    /// <summary>on or off.</summary>
    public static Setting<T> Flag<T>(string name, Func<T, bool, T> set)
        where T : class => new(name, "on or off", (options, text) => OptionText.TryFlag(text, out var value) ? set(options, value) : null);

    /// <summary>A number in a range that may have gaps.</summary>
    public static Setting<T> Number<T>(string name, long low, long high, Func<T, long, T> set, Func<long, bool>? fits = null, string? takes = null)
        where T : class => new(name, takes ?? $"a number from {low} to {high}", (options, text) =>
            long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value >= low && value <= high && fits?.Invoke(value) != false
                ? set(options, value) : null);

    /// <summary>A power of two in a range.</summary>
    public static Setting<T> Power<T>(string name, long low, long high, Func<T, long, T> set)
        where T : class => Number(name, low, high, set, static value => long.IsPow2(value), $"a power of two from {low} to {high}");

    /// <summary>A hexadecimal number.</summary>
    public static Setting<T> Hex<T>(string name, Func<T, ulong, T> set)
        where T : class => new(name, "a hexadecimal number", (options, text) => TryHex(text, out var value) ? set(options, value) : null);

    /// <summary>One of some words.</summary>
    public static Setting<T> Word<T>(string name, params (string Word, Func<T, T> Set)[] words)
        where T : class => new(name, string.Join(" or ", words.Select(w => w.Word)), (options, text) =>
            Array.Find(words, w => string.Equals(w.Word, text, StringComparison.OrdinalIgnoreCase)).Set?.Invoke(options));

    /// <summary>A hexadecimal number with or without 0x.</summary>
    public static bool TryHex(string text, out ulong value) => ulong.TryParse(
        text.StartsWith("0x", StringComparison.OrdinalIgnoreCase) ? text.AsSpan(2) : text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
}

/// <summary>All settings of a device.</summary>
/// <param name="option">Option of the command line that has them.</param>
/// <param name="all">The settings.</param>
internal sealed class SettingTable<T>(string option, params IReadOnlyList<Setting<T>> all)
    where T : class
{
    /// <summary>The settings.</summary>
    public IReadOnlyList<Setting<T>> All => all;

    /// <summary>Their names.</summary>
    public IEnumerable<string> Names => all.Select(s => s.Name);

    /// <summary>The setting of a name, or null.</summary>
    public Setting<T>? Find(string name) => all.FirstOrDefault(s => s.Name == name);

    /// <summary>Options from <c>model,key=value,...</c>; the model has been judged before.</summary>
    /// <exception cref="UsageException">A key is not known or twice there, or a value does not fit; the message names it.</exception>
    public T Parse(T options, string text) => Apply(options, OptionText.Pairs(option, text, "model", [.. Names]));

    /// <summary>Options with those of the pairs that are settings of this device.</summary>
    /// <exception cref="UsageException">A value does not fit; the message names its key.</exception>
    public T Apply(T options, IReadOnlyDictionary<string, string> pairs)
    {
        foreach (var setting in all)
        {
            if (pairs.TryGetValue(setting.Name, out var value))
            {
                options = setting.Set(options, value) ?? throw new UsageException($"{option} {setting.Name}: '{value}' is not {setting.Takes}");
            }
        }

        return options;
    }
}
