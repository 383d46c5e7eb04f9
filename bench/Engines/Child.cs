using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using Vmm.Bench.Image;

namespace Vmm.Bench.Engines;

/// <summary>Another engine's process.</summary>
internal static class Child
{
    static readonly TimeSpan Limit = TimeSpan.FromMinutes(30);

    /// <summary>First line of what a program prints, or null when there is no such program.</summary>
    public static string? FirstLine(string program, string argument, Func<string, bool> wanted)
    {
        try
        {
            using var process = Start(program, [argument], true);
            var text = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return text.Split('\n').FirstOrDefault(wanted)?.Trim();
        }
        catch (Win32Exception)
        {
            return null;
        }
    }

    /// <summary>Starts a program with its output on a pipe and nothing to read.</summary>
    public static Process Start(string program, IEnumerable<string> arguments, bool quiet)
    {
        var info = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardInput = true, RedirectStandardError = quiet };
        info.Environment["LC_ALL"] = "C";
        info.Environment["TERM"] = "vt100";
        var process = Process.Start(info)!;
        process.StandardInput.Close();
        if (quiet)
        {
            process.ErrorDataReceived += (_, _) => { };
            process.BeginErrorReadLine();
        }

        return process;
    }

    /// <summary>Reads a child's markers until the last; then it is ended.</summary>
    /// <param name="process">What was started.</param>
    /// <param name="engine">Finds the process whose CPU time counts; asked until it answers.</param>
    /// <param name="loops">The loops of the image.</param>
    public static IReadOnlyList<Measurement> Measure(Process process, Func<int?> engine, IReadOnlyList<Loop> loops)
    {
        using var deadline = new Timer(_ => Kill(process), null, Limit, Timeout.InfiniteTimeSpan);
        try
        {
            var buffer = new byte[4096];
            ProcessorTime? time = null;
            var reader = new MarkerReader(loops.Count, () => (time ??= new(engine() ?? process.Id)).Now());
            int got;
            while (!reader.IsDone && (got = process.StandardOutput.BaseStream.Read(buffer)) > 0)
            {
                reader.Feed(buffer.AsSpan(0, got));
            }

            return reader.IsDone ? reader.Measured : throw new EngineException($"ended after {reader.Measured.Count} loops");
        }
        finally
        {
            Kill(process);
        }
    }

    /// <summary>Ends a process and its children.</summary>
    public static void Kill(Process process)
    {
        try
        {
            process.Kill(true);
            process.WaitForExit();
        }
        catch (InvalidOperationException)
        {
            // It has ended by itself.
        }
    }

    /// <summary>A process whose parent is <paramref name="parent"/>, from the fourth field of /proc/N/stat.</summary>
    public static int? ChildOf(int parent)
    {
        foreach (var directory in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(directory), CultureInfo.InvariantCulture, out var number))
            {
                continue;
            }

            try
            {
                var stat = File.ReadAllText(Path.Combine(directory, "stat"));
                var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
                if (int.Parse(fields[1], CultureInfo.InvariantCulture) == parent)
                {
                    return number;
                }
            }
            catch (IOException)
            {
                // It ended while the directory was read.
            }
        }

        return null;
    }
}
