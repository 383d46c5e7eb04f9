using System.Text;
using System.Text.RegularExpressions;

namespace Vmm.Control.Hosting;

/// <summary>Waits for a console line with a text, or one that a regular expression matches. Lives on the machine's thread.</summary>
internal sealed class LineWatch
{
    readonly byte[]? text;
    readonly Regex? regex;
    readonly Action seen;

    /// <summary>A watch for a text.</summary>
    public LineWatch(string text, Action seen)
    {
        this.text = Encoding.UTF8.GetBytes(text);
        this.seen = seen;
    }

    /// <summary>A watch for a regular expression, which must not backtrack.</summary>
    public LineWatch(Regex regex, Action seen)
    {
        this.regex = regex;
        this.seen = seen;
    }

    /// <summary>The line has been seen.</summary>
    public bool IsDone { get; private set; }

    /// <summary>What was on the line when it matched.</summary>
    public string Line { get; private set; } = "";

    /// <summary>Looks at a line that grew.</summary>
    public void Look(ReadOnlySpan<byte> line)
    {
        if (IsDone || !Matches(line))
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
