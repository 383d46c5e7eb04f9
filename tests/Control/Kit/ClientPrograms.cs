using System.Diagnostics;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Xunit;

namespace Vmm.ControlTests.Kit;

/// <summary>
/// Clients that others wrote: grpc-js and buf from npm, grpcio of Debian. Where one cannot be had the test is skipped with
/// the reason; when CI=true that is a failure.
/// </summary>
internal static class ClientPrograms
{
    static readonly Lock Gate = new();
    static string? nodeFailure;
    static bool nodeTried;

    static bool IsCi => Environment.GetEnvironmentVariable("CI") == "true";

    /// <summary>Folder of the solution.</summary>
    public static string Root { get; } = FindRoot();

    public static string Protos => Path.Combine(Root, "proto");

    static string Scripts => Path.Combine(Root, "tests", "Control", "clients");

    /// <summary>A script with @grpc/grpc-js.</summary>
    public static string Node(string script, params string[] arguments)
    {
        NeedNodeModules();
        return Run("node", [Path.Combine(Scripts, script), .. arguments]);
    }

    /// <summary>A script with Debian's grpcio: that of /usr/bin/python3, whatever else is installed.</summary>
    public static string Python(string script, params string[] arguments)
    {
        const string Python3 = "/usr/bin/python3";
        if (!File.Exists(Python3) || Start(Python3, ["-c", "import grpc, google.protobuf"]).Code != 0)
        {
            Give($"{Python3} has no grpcio: Debian packages python3-grpcio and python3-protobuf");
        }

        return Run(Python3, [Path.Combine(Scripts, script), .. arguments]);
    }

    /// <summary>buf, from the folder of the solution; its exit code too.</summary>
    public static (int Code, string Output, string Error) Buf(params string[] arguments)
    {
        NeedNodeModules();
        var machine = RuntimeInformation.OSArchitecture == Architecture.Arm64 ? "aarch64" : "x64";
        return Start(Path.Combine(Scripts, "node_modules", "@bufbuild", "buf-linux-" + machine, "bin", "buf"), arguments);
    }

    /// <summary>Writes the files given and all they import, in order, as a FileDescriptorSet.</summary>
    public static void WriteDescriptorSet(string path, params IEnumerable<FileDescriptor> files)
    {
        var written = new HashSet<string>();
        using var output = new CodedOutputStream(File.Create(path));
        foreach (var file in files)
        {
            Write(file);
        }

        void Write(FileDescriptor file)
        {
            if (written.Add(file.Name))
            {
                file.Dependencies.ToList().ForEach(Write);
                output.WriteTag(1, WireFormat.WireType.LengthDelimited);
                output.WriteBytes(file.SerializedData);
            }
        }
    }

    static string Run(string program, string[] arguments)
    {
        var (code, output, error) = Start(program, arguments);
        Assert.True(code == 0, $"{program} ended with {code}: {error}\n{output}");
        return output;
    }

    static void NeedNodeModules()
    {
        lock (Gate)
        {
            if (!nodeTried)
            {
                nodeTried = true;
                nodeFailure = Install();
            }
        }

        if (nodeFailure != null)
        {
            Give(nodeFailure);
        }
    }

    static string? Install()
    {
        if (Start("node", ["--version"]) is not { Code: 0 })
        {
            return "no node on this host";
        }

        if (File.Exists(Path.Combine(Scripts, "node_modules", ".package-lock.json")))
        {
            return null;
        }

        var (code, _, error) = Start("npm", ["ci", "--prefix", Scripts]);
        return code == 0 ? null : $"npm ci failed: {error}";
    }

    static void Give(string reason)
    {
        Assert.False(IsCi, reason);
        throw new SkipException(reason);
    }

    static (int Code, string Output, string Error) Start(string program, string[] arguments)
    {
        try
        {
            var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Root };
            start.Environment["PYTHONDONTWRITEBYTECODE"] = "1";
            using var process = Process.Start(start)!;
            var output = process.StandardOutput.ReadToEndAsync();
            var error = process.StandardError.ReadToEndAsync();
            if (!process.WaitForExit(TimeSpan.FromMinutes(3)))
            {
                process.Kill(entireProcessTree: true);
                return (124, output.Result, "three minutes passed\n" + error.Result);
            }

            return (process.ExitCode, output.Result, error.Result);
        }
        catch (System.ComponentModel.Win32Exception absent)
        {
            return (127, "", absent.Message);
        }
    }

    static string FindRoot()
    {
        var at = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(at.FullName, "Vmm.sln")))
        {
            at = at.Parent ?? throw new InvalidOperationException("no Vmm.sln above the tests");
        }

        return at.FullName;
    }
}
