using System.Text;
using Vmm.Platform.Bus;

namespace Vmm.Cli;

/// <summary>
/// The machine's end of COM1: hands every byte to its sinks and looks at complete lines for what ends a run.
/// A line is bounded, so a console flood without newline costs no memory.
/// </summary>
internal sealed class ConsolePort : IConsoleOutput
{
    const int LineLimit = 4096;

    readonly List<Stream> sinks = [];
    readonly List<Action<string>> watchers = [];
    readonly byte[] line = new byte[LineLimit];
    int length;

    /// <summary>Bytes that the guest wrote.</summary>
    public ulong Written { get; private set; }

    /// <summary>Sends every byte to a stream as well. A stream that fails is dropped.</summary>
    public void AddSink(Stream sink) => sinks.Add(sink);

    /// <summary>Calls <paramref name="watcher"/> on the machine's thread with the text of the current line after each write.</summary>
    public void Watch(Action<string> watcher) => watchers.Add(watcher);

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
        Written += (ulong)data.Length;
        for (var i = sinks.Count - 1; i >= 0; i--)
        {
            try
            {
                sinks[i].Write(data);
                sinks[i].Flush();
            }
            catch (IOException)
            {
                sinks.RemoveAt(i);
            }
        }

        if (watchers.Count == 0)
        {
            return;
        }

        foreach (var value in data)
        {
            if (value == '\n')
            {
                length = 0;
            }
            else if (length < LineLimit && value != '\r')
            {
                line[length++] = value;
                Tell();
            }
        }
    }

    void Tell()
    {
        var text = Encoding.UTF8.GetString(line, 0, length);
        foreach (var watcher in watchers)
        {
            watcher(text);
        }
    }
}
