using System.Globalization;

namespace Vmm.Cli;

/// <summary>Parses the values of options: sizes, durations, <c>key=value,key=value</c> lists.</summary>
internal static class OptionText
{
    /// <summary>A size with an optional suffix K, M, G or T (powers of 1024), in bytes. Without a suffix: MiB, as QEMU's -m.</summary>
    public static ulong Size(string option, string text, ulong unit = 1 << 20)
    {
        var digits = text.TrimEnd('B', 'b');
        if (digits.EndsWith("i", StringComparison.OrdinalIgnoreCase))
        {
            digits = digits[..^1];
        }

        if (digits.Length == 0)
        {
            throw new UsageException($"{option}: '{text}' is not a size");
        }

        var suffix = char.ToUpperInvariant(digits[^1]);
        var shift = suffix switch { 'K' => 10, 'M' => 20, 'G' => 30, 'T' => 40, _ => -1 };
        var number = shift < 0 ? digits : digits[..^1];
        if (!ulong.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var value))
        {
            throw new UsageException($"{option}: '{text}' is not a size");
        }

        var factor = shift < 0 ? unit : 1ul << shift;
        return value > ulong.MaxValue / factor ? throw new UsageException($"{option}: '{text}' is too large") : value * factor;
    }

    /// <summary>A duration with suffix ns, us, ms, s or m; without a suffix seconds.</summary>
    public static TimeSpan Duration(string option, string text)
    {
        (string Suffix, double Seconds)[] units = [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1), ("m", 60)];
        foreach (var (suffix, seconds) in units)
        {
            if (text.EndsWith(suffix, StringComparison.Ordinal) && TryNumber(text[..^suffix.Length], out var value))
            {
                return Span(option, text, value * seconds);
            }
        }

        return TryNumber(text, out var plain) ? Span(option, text, plain) : throw new UsageException($"{option}: '{text}' is not a duration");
    }

    static bool TryNumber(string text, out double value) =>
        double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out value);

    static TimeSpan Span(string option, string text, double seconds) =>
        seconds is >= 0 and < 1e9 ? TimeSpan.FromSeconds(seconds) : throw new UsageException($"{option}: '{text}' is out of range");

    /// <summary>An integer in a range.</summary>
    public static long Integer(string option, string text, long low, long high) =>
        long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= low && value <= high
            ? value
            : throw new UsageException($"{option}: '{text}' is not a number from {low} to {high}");

    /// <summary>on/off.</summary>
    public static bool Flag(string option, string text) => TryFlag(text, out var value) ? value : throw new UsageException($"{option}: '{text}' is not on or off");

    /// <summary>on/off, in all its words.</summary>
    public static bool TryFlag(string text, out bool value)
    {
        value = text is "on" or "true" or "yes" or "1";
        return value || text is "off" or "false" or "no" or "0";
    }

    /// <summary>
    /// Splits <c>key=value,key=value</c>. A first item without '=' gets the name <paramref name="first"/>;
    /// a doubled comma stands for one. Unknown and repeated keys are errors.
    /// </summary>
    public static Dictionary<string, string> Pairs(string option, string text, string first, params string[] known)
    {
        var result = new Dictionary<string, string>();
        var items = text.Replace(",,", "\u0001", StringComparison.Ordinal).Split(',');
        for (var i = 0; i < items.Length; i++)
        {
            var item = items[i].Replace('\u0001', ',');
            var at = item.IndexOf('=', StringComparison.Ordinal);
            var key = at < 0 ? i == 0 ? first : item : item[..at];
            var value = at < 0 ? i == 0 ? item : "on" : item[(at + 1)..];
            if (key != first && !known.Contains(key))
            {
                throw new UsageException($"{option}: unknown key '{key}' (known: {string.Join(", ", known.Prepend(first))})");
            }

            if (value.Length == 0)
            {
                throw new UsageException($"{option}: '{key}' has no value");
            }

            if (!result.TryAdd(key, value))
            {
                throw new UsageException($"{option}: '{key}' is given twice");
            }
        }

        return result;
    }
}
