using System.Diagnostics;
using System.Runtime.Versioning;

namespace Vmm.Differential.Native;

/// <summary>The running helper: a child process and two pipes.</summary>
[SupportedOSPlatform("linux")]
internal sealed class HelperProcess : IDisposable
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    readonly Process process;
    readonly Stream commands;
    readonly Stream answers;
    readonly byte[] one = new byte[1];

    public HelperProcess(string sharedPath)
    {
        var path = Path.Combine(Path.GetTempPath(), $"native-cases-{Guid.NewGuid():N}");
        File.WriteAllBytes(path, HelperProgram.Build());
        try
        {
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
            process = Start(path, sharedPath);
            commands = process.StandardInput.BaseStream;
            answers = process.StandardOutput.BaseStream;
            AwaitAnswer();
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>True while the helper has not ended.</summary>
    public bool IsAlive => !process.HasExited;

    static Process Start(string path, string sharedPath)
    {
        var info = new ProcessStartInfo(path, [sharedPath]) { RedirectStandardInput = true, RedirectStandardOutput = true, UseShellExecute = false };
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                return Process.Start(info)!;
            }
            catch (System.ComponentModel.Win32Exception) when (attempt < 20)
            {
                // Another thread's fork may still hold the file open for writing ("text file busy").
                Thread.Sleep(10);
            }
        }
    }

    /// <summary>Lets the helper begin with the batch in the shared file.</summary>
    public void Start()
    {
        commands.Write(one, 0, 1);
        commands.Flush();
    }

    /// <summary>Waits until the batch has run.</summary>
    /// <exception cref="InvalidOperationException">The helper died or hangs.</exception>
    public void Finish() => AwaitAnswer();

    void AwaitAnswer()
    {
        var read = answers.ReadAsync(one, 0, 1);
        if (!read.Wait(Patience))
        {
            Kill();
            throw new InvalidOperationException("the native helper hangs");
        }

        if (read.Result != 1)
        {
            process.WaitForExit();
            throw new InvalidOperationException($"the native helper ended with exit code {process.ExitCode}");
        }
    }

    void Kill()
    {
        if (!process.HasExited)
        {
            process.Kill();
            process.WaitForExit();
        }
    }

    public void Dispose()
    {
        Kill();
        process.Dispose();
    }
}
