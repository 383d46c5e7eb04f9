using System.Diagnostics;
using System.Text.RegularExpressions;
using Vmm.Firmware.Acpi;
using Vmm.Unit.Firmware.Acpi;
using Xunit;

namespace Vmm.Unit.Firmware;

/// <summary>
/// Every table through ACPICA's iasl: it must take the table apart without complaint and compile its own listing back to
/// the same bytes.
/// </summary>
public sealed partial class IaslTests : IDisposable
{
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("iasl");

    public void Dispose() => folder.Delete(recursive: true);

    public static TheoryData<string> Machines => ["small", "full", "reduced"];

    static AcpiConfig Machine(string name) => name switch
    {
        "small" => AcpiSamples.Small,
        "full" => AcpiSamples.Full,
        _ => AcpiSamples.Reduced,
    };

    [SkippableTheory]
    [MemberData(nameof(Machines))]
    public void Iasl_reads_and_rebuilds_every_table(string machine)
    {
        var iasl = Find();
        foreach (var table in AcpiBuilder.Build(Machine(machine), AcpiSamples.Ram).Tables)
        {
            // iasl reads no bare RSDP, and the version of 2020 that Debian 12 has does not know VIOT yet.
            if (table.Signature is not ("RSD PTR " or "VIOT"))
            {
                RoundTrip(iasl, table);
            }
        }
    }

    void RoundTrip(string iasl, PlacedTable table)
    {
        var name = table.Signature.Trim().ToLowerInvariant();
        File.WriteAllBytes(Path.Combine(folder.FullName, $"{name}.dat"), table.Bytes.ToArray());
        var listing = Run(iasl, "-d", $"{name}.dat");
        Assert.DoesNotMatch(Complaint(), listing);
        Assert.DoesNotMatch(Complaint(), File.ReadAllText(Path.Combine(folder.FullName, $"{name}.dsl")));

        var compiled = Run(iasl, "-p", $"{name}-again", $"{name}.dsl");
        Assert.Contains("0 Errors, 0 Warnings, 0 Remarks", compiled, StringComparison.Ordinal);
        Assert.Equal(Comparable(table.Bytes.ToArray()), Comparable(File.ReadAllBytes(Path.Combine(folder.FullName, $"{name}-again.aml"))));
    }

    /// <summary>Checksum and compiler id and revision are the compiler's own.</summary>
    static byte[] Comparable(byte[] table)
    {
        table[9] = 0;
        table.AsSpan(28, Math.Min(8, table.Length - 28)).Clear();
        return table;
    }

    string Run(string iasl, params string[] arguments)
    {
        var start = new ProcessStartInfo(iasl, arguments) { WorkingDirectory = folder.FullName, RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd() + errors.Result;
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, output);
        return output;
    }

    static string Find()
    {
        var found = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Select(path => Path.Combine(path, "iasl")).FirstOrDefault(File.Exists);
        Assert.True(found != null || Environment.GetEnvironmentVariable("CI") != "true", "iasl (package acpica-tools) is not on PATH");
        Skip.If(found == null, "iasl (package acpica-tools) is not on PATH");
        return found!;
    }

    [GeneratedRegex("error|warning|invalid|unknown|incorrect", RegexOptions.IgnoreCase)]
    private static partial Regex Complaint();
}
