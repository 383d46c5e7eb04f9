using System.Text;
using System.Text.RegularExpressions;

namespace Vmm.Control.Hosting;

/// <summary>Waits for a console line with a text, or one that a regular expression matches. Lives on the machine's thread.</summary>
internal sealed class LineWatch
{
    /// <summary>Up to here a regular expression is tried at every byte, then at every so many and at the end of the line.</summary>
    const int Eager = 256, Step = 64;

    readonly byte[]? text;
    readonly Regex? regex;
    readonly Action seen;

    /// <summary>A watch for a text.</summary>
    public LineWatch(string text, Action seen)
    {
        this.text = Encoding.UTF8.GetBytes(text);
        this.seen = seen;
    }

    /// <summary>A watch for a regular expression. It does not backtrack, and large automata are refused: a line takes bounded work.</summary>
    /// <exception cref="ArgumentException">It is not a regular expression, or one that is too large.</exception>
    public static LineWatch ForRegex(string pattern, Action seen)
    {
        // States that the runtime's engine may need at most; only this class uses the engine that does not backtrack.
        AppContext.SetData("REGEX_NONBACKTRACKING_MAX_AUTOMATA_SIZE", 1000);
        try
        {
            return new(new Regex(pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant), seen);
        }
        catch (NotSupportedException large)
        {
            throw new ArgumentException(large.Message, nameof(pattern), large);
        }
    }

    LineWatch(Regex regex, Action seen)
    {
        this.regex = regex;
        this.seen = seen;
    }

    /// <summary>The line has been seen.</summary>
    public bool IsDone { get; private set; }

    /// <summary>What was on the line when it matched.</summary>
    public string Line { get; private set; } = "";

    /// <summary>Looks at a line that grew by a byte, or that has ended.</summary>
    public void Look(ReadOnlySpan<byte> line, bool hasEnded)
    {
        // Trying each beginning of a long line would take time with the square of its length.
        if (IsDone || regex != null && !hasEnded && line.Length > Eager && line.Length % Step != 0 || !Matches(line))
        {
            return;
        }

        IsDone = true;
        Line = Encoding.UTF8.GetString(line);
        seen();
    }

    bool Matches(ReadOnlySpan<byte> line) =>
        text != null ? line.IndexOf(text) >= 0 : regex!.IsMatch(Encoding.UTF8.GetString(line));
}
