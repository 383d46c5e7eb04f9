using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Xunit;

namespace Vmm.Guests;

/// <summary><c>vmm bench dma</c> from outside: Ctrl-C ends it after the present measurement, with what is there.</summary>
public sealed partial class BenchTests : IDisposable
{
    const int MostMilliseconds = 60_000;

    readonly string folder = Directory.CreateTempSubdirectory("vmm-bench").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    [Fact]
    public async Task A_load_that_does_not_fit_names_its_options()
    {
        using var process = Start("bench", "dma", "--bytes", "4194304", "--depth", "10000", "--load", "read", "--policy", "strict", "--iommu", "vtd", "--profile", "haswell");
        var error = await process.StandardError.ReadToEndAsync();
        Assert.True(process.WaitForExit(MostMilliseconds), "the program hangs");
        Assert.Equal(2, process.ExitCode);
        Assert.Contains("--bytes 4194304, --depth 10000, --policy strict: load: not enough memory for the buffers", error);
    }

    [Fact]
    public async Task Ctrl_C_leaves_whole_rows_of_every_format_and_success()
    {
        string csv = Path.Combine(folder, "t.csv"), json = Path.Combine(folder, "t.json"), page = Path.Combine(folder, "t.html");
        using var process = Start("bench", "dma", "--csv", csv, "--json", json, "--report", page);
        var error = process.StandardError.ReadToEndAsync();
        var lines = new List<string?>();
        while (lines.Count < 5)
        {
            lines.Add(await process.StandardOutput.ReadLineAsync());
        }

        Interrupt(process);
        var rest = (await process.StandardOutput.ReadToEndAsync()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.True(process.WaitForExit(MostMilliseconds), "the program hangs");
        Assert.Equal(0, process.ExitCode);
        var message = await error;
        var told = Told().Match(message);
        Assert.True(told.Success, message);
        int done = int.Parse(told.Groups[1].Value, CultureInfo.InvariantCulture), all = int.Parse(told.Groups[2].Value, CultureInfo.InvariantCulture);
        Assert.InRange(done, 4, all - 1);
        Assert.Equal(done + 1, lines.Count + rest.Length);
        var rows = await File.ReadAllLinesAsync(csv);
        Assert.Equal(done + 1, rows.Length);
        Assert.All(rows, r => Assert.Equal(rows[0].Count(static c => c == ','), r.Count(static c => c == ',')));
        using var document = JsonDocument.Parse(await File.ReadAllBytesAsync(json));
        Assert.Equal(done, document.RootElement.GetArrayLength());
        Assert.EndsWith("</html>\n", await File.ReadAllTextAsync(page), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("paper")]
    [InlineData("beyond")]
    public async Task Ctrl_C_ends_an_experiment_and_says_so(string experiment)
    {
        using var process = Start("bench", "dma", "--experiment", experiment);
        var error = process.StandardError.ReadToEndAsync();
        while (await process.StandardOutput.ReadLineAsync() is { } line && !line.StartsWith("| 4 KiB", StringComparison.Ordinal))
        {
        }

        Interrupt(process);
        await process.StandardOutput.ReadToEndAsync();
        Assert.True(process.WaitForExit(MostMilliseconds), "the program hangs");
        Assert.Equal(0, process.ExitCode);
        Assert.Contains("vmm: interrupted", await error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("static", "| 1 GiB |")]
    [InlineData("network", "| 64 KiB cut by the card, as a list |")]
    [InlineData("swiotlb", "| 34816 KiB | 1 | IOMMU, strict |")]
    public async Task An_experiment_ends_with_its_last_row_and_success(string experiment, string row)
    {
        using var process = Start("bench", "dma", "--experiment", experiment);
        var error = process.StandardError.ReadToEndAsync();
        var lines = (await process.StandardOutput.ReadToEndAsync()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.True(process.WaitForExit(MostMilliseconds), "the program hangs");
        Assert.Equal((0, ""), (process.ExitCode, await error));
        Assert.StartsWith(row, lines[^1], StringComparison.Ordinal);
    }

    static Process Start(params string[] arguments) => Process.Start(new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "vmm.dll"), .. arguments])
    {
        RedirectStandardOutput = true, RedirectStandardError = true,
    })!;

    static void Interrupt(Process process)
    {
        using var kill = Process.Start("kill", ["-INT", process.Id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }

    [GeneratedRegex("interrupted after ([0-9]+) of ([0-9]+) measurements")]
    private static partial Regex Told();
}
