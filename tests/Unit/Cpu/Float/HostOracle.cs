using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Xunit;

namespace Vmm.Unit.Cpu.Float;

/// <summary>Runs the helper that executes single instructions on the host CPU; absent without gcc or on another architecture.</summary>
public sealed class HostOracle : IDisposable
{
    private readonly Process? process;
    private readonly string? directory;

    public HostOracle()
    {
        if (RuntimeInformation.ProcessArchitecture != Architecture.X64 || !OperatingSystem.IsLinux())
        {
            return;
        }

        directory = Directory.CreateTempSubdirectory("vmm-float-").FullName;
        string source = Path.Combine(directory, "oracle.c");
        string binary = Path.Combine(directory, "oracle");
        using (Stream resource = typeof(HostOracle).Assembly.GetManifestResourceStream("HostOracle.c")!)
        using (FileStream file = File.Create(source))
        {
            resource.CopyTo(file);
        }

        if (Compile(source, binary))
        {
            process = Process.Start(new ProcessStartInfo(binary) { RedirectStandardInput = true, RedirectStandardOutput = true });
        }
    }

    public bool Available => process != null;

    /// <summary>Skips the calling test where the helper is missing; on a build server that is a failure.</summary>
    public void Require()
    {
        if (Environment.GetEnvironmentVariable("CI") == "true")
        {
            Assert.True(Available, "The host comparison needs gcc on an x86-64 Linux host.");
        }

        Skip.IfNot(Available, "The host comparison needs gcc on an x86-64 Linux host.");
    }

    /// <summary>Executes instruction <paramref name="name"/> on every record in place.</summary>
    internal void Run(string name, Span<HostRecord> records)
    {
        Span<byte> header = stackalloc byte[20];
        header.Clear();
        Encoding.ASCII.GetBytes(name, header);
        BitConverter.TryWriteBytes(header[16..], records.Length);
        try
        {
            Stream input = process!.StandardInput.BaseStream;
            input.Write(header);
            input.Write(MemoryMarshal.AsBytes(records));
            input.Flush();
            process.StandardOutput.BaseStream.ReadExactly(MemoryMarshal.AsBytes(records));
        }
        catch (IOException e)
        {
            process!.WaitForExit();
            throw new InvalidOperationException($"The host helper ended with code {process.ExitCode} in {name}.", e);
        }
    }

    public void Dispose()
    {
        if (process != null)
        {
            // Its input ends, and so does the helper, unless it is gone already.
            if (!process.HasExited)
            {
                process.StandardInput.Close();
                process.WaitForExit();
            }

            process.Dispose();
        }

        if (directory != null)
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static bool Compile(string source, string binary)
    {
        try
        {
            using Process compiler = Process.Start("gcc", ["-O1", "-mno-red-zone", "-o", binary, source]);
            compiler.WaitForExit();
            return compiler.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
