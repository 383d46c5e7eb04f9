using System.Runtime.InteropServices;

namespace Vmm.Cli;

/// <summary>The user's terminal in raw mode, so that every key reaches the guest. Restored on disposal.</summary>
internal sealed unsafe class Terminal : IDisposable
{
    const int TermiosBytes = 60, TcsaFlush = 2;
    const byte Escape = 1;

    readonly byte[] saved = new byte[TermiosBytes + 4];
    bool raw;

    /// <summary>True when standard input and output are a terminal.</summary>
    public static bool IsInteractive => !Console.IsInputRedirected && !Console.IsOutputRedirected;

    /// <summary>Switches to raw mode where the host has one.</summary>
    public void EnterRaw()
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        var mode = new byte[saved.Length];
        fixed (byte* old = saved, changed = mode)
        {
            // Safe: struct termios is 60 bytes on Linux x86-64 and arm64; the buffers are longer.
            if (tcgetattr(0, old) != 0)
            {
                return;
            }

            saved.CopyTo(mode, 0);
            cfmakeraw(changed);
            // Output processing stays on: the report's newlines need it. c_oflag is the second word.
            Buffer.MemoryCopy(old + 4, changed + 4, 4, 4);
            raw = tcsetattr(0, TcsaFlush, changed) == 0;
        }
    }

    /// <summary>
    /// Reads keys until the end of input, and hands them on. Ctrl-A x ends the run, Ctrl-A Ctrl-A sends one Ctrl-A.
    /// </summary>
    public static void Pump(Stream input, Func<byte[], bool> offer, Action quit, bool escapes)
    {
        var buffer = new byte[256];
        var escaped = false;
        while (true)
        {
            var count = input.Read(buffer);
            if (count <= 0)
            {
                return;
            }

            var keys = new List<byte>(count);
            foreach (var key in buffer.AsSpan(0, count))
            {
                if (escapes && !escaped && key == Escape)
                {
                    escaped = true;
                    continue;
                }

                if (escaped)
                {
                    escaped = false;
                    if (key is (byte)'x' or (byte)'X')
                    {
                        quit();
                        return;
                    }
                }

                keys.Add(key);
            }

            // The guest reads slowly: wait for room rather than lose keys.
            for (var tries = 0; keys.Count != 0 && !offer([.. keys]) && tries < 1000; tries++)
            {
                Thread.Sleep(10);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (raw)
        {
            raw = false;
            fixed (byte* old = saved)
            {
                _ = tcsetattr(0, TcsaFlush, old);
            }
        }
    }

    [DllImport("libc")]
    static extern int tcgetattr(int descriptor, byte* mode);

    [DllImport("libc")]
    static extern int tcsetattr(int descriptor, int action, byte* mode);

    [DllImport("libc")]
    static extern void cfmakeraw(byte* mode);
}
