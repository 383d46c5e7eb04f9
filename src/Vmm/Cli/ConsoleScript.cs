using System.Text;

namespace Vmm.Cli;

/// <summary>
/// A conversation with the guest's console, in lines <c>expect TEXT</c> and <c>send TEXT</c> (<c>\n</c>, <c>\\</c> and <c>\xNN</c> are
/// understood; <c>#</c> starts a comment). What is sent follows what was seen, so a run with a script repeats exactly.
/// </summary>
internal sealed class ConsoleScript
{
    readonly List<(bool Send, string Text)> steps = [];
    readonly Action<byte[]> send;
    int at;

    ConsoleScript(Action<byte[]> send) => this.send = send;

    /// <summary>True when every step has been taken.</summary>
    public bool IsDone => at == steps.Count;

    /// <summary>What the script waits for, for the report.</summary>
    public string? Waiting => IsDone ? null : steps[at].Text;

    /// <summary>Reads a script; <paramref name="send"/> offers bytes to the guest.</summary>
    public static ConsoleScript Parse(string name, string[] lines, Action<byte[]> send)
    {
        var script = new ConsoleScript(send);
        for (var i = 0; i < lines.Length; i++)
        {
            var text = lines[i].TrimStart();
            if (text.Length == 0 || text[0] == '#')
            {
                continue;
            }

            var space = text.IndexOf(' ', StringComparison.Ordinal);
            var verb = space < 0 ? text : text[..space];
            var argument = space < 0 ? "" : Unescape(name, i + 1, text[(space + 1)..]);
            script.steps.Add(verb switch
            {
                "expect" => (false, argument),
                "send" => (true, argument),
                _ => throw new UsageException($"{name}, line {i + 1}: '{verb}' is neither expect nor send"),
            });
        }

        script.SendWhatIsDue();
        return script;
    }

    static string Unescape(string name, int line, string text)
    {
        var result = new StringBuilder();
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\')
            {
                result.Append(text[i]);
                continue;
            }

            var kind = i + 1 < text.Length ? text[++i] : '\0';
            switch (kind)
            {
                case 'n':
                    result.Append('\n');
                    break;
                case '\\':
                    result.Append('\\');
                    break;
                case 'x' when i + 2 < text.Length && byte.TryParse(text.AsSpan(i + 1, 2), System.Globalization.NumberStyles.HexNumber, null, out var value):
                    result.Append((char)value);
                    i += 2;
                    break;
                default:
                    throw new UsageException($"{name}, line {line}: bad escape '\\{kind}'");
            }
        }

        return result.ToString();
    }

    /// <summary>Looks at the current console line.</summary>
    public void Seen(string line)
    {
        if (!IsDone && !steps[at].Send && line.Contains(steps[at].Text, StringComparison.Ordinal))
        {
            at++;
            SendWhatIsDue();
        }
    }

    void SendWhatIsDue()
    {
        while (!IsDone && steps[at].Send)
        {
            send(Encoding.Latin1.GetBytes(steps[at].Text));
            at++;
        }
    }
}
