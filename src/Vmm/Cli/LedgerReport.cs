using System.Globalization;
using System.Text;
using Vmm.Machine;
using Vmm.Platform.Time;

namespace Vmm.Cli;

/// <summary>Where virtual time went: by exit reason and handler, by vCPU and by device.</summary>
internal static class LedgerReport
{
    /// <summary>The table for people. Shares are of all vCPUs' time together.</summary>
    public static string Text(VirtualMachine machine, LedgerImage ledger)
    {
        if (!machine.Config.Ledger)
        {
            return "";
        }

        var total = Sum(ledger);
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"  ledger        profile {machine.Config.Cost.Profile}");
        text.AppendLine(CultureInfo.InvariantCulture, $"    {"reason",-28} {"handler",-8} {"count",15} {"cycles",18} {"share",8}");
        foreach (var row in Sorted(total))
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"    {row.Name,-28} {Handler(row),-8} {row.Count,15:N0} {row.Cycles,18:N0} {Share(row.Cycles, total.Cycles),8:P2}");
        }

        text.AppendLine(CultureInfo.InvariantCulture, $"    {"total",-28} {"",-8} {"",15} {total.Cycles,18:N0}{(machine.Vcpus.Count == 1 ? "" : $" = {machine.Vcpus.Count} vCPUs x {machine.Now:N0}")}");
        if (ledger.Between.Cycles != 0)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"    between turns, beside the vCPUs: {string.Join(", ", ledger.Between.Rows.Select(r => string.Create(CultureInfo.InvariantCulture, $"{r.Name} {r.Count:N0} ({r.Cycles:N0} cycles)")))}");
        }

        foreach (var (device, table) in ledger.Devices.Where(static d => d.Value.Cycles != 0).OrderByDescending(static d => d.Value.Cycles).ThenBy(static d => d.Key, StringComparer.Ordinal))
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"    {device,-12} {table.ExitCount,12:N0} exits {table.Cycles,16:N0} cycles");
        }

        return text.ToString();
    }

    /// <summary>The same for programs.</summary>
    public static object Json(VirtualMachine machine, LedgerImage ledger) => new
    {
        profile = machine.Config.Cost.Profile,
        costs = Enumerable.Range(0, CostKinds.Priced).ToDictionary(static i => ((CostKind)i).Key(), i => machine.Config.Cost[(CostKind)i]),
        totalCycles = Sum(ledger).Cycles,
        total = Rows(Sum(ledger)),
        betweenTurns = Rows(ledger.Between),
        vcpus = ledger.Vcpus.Select(static (t, i) => new { index = i, cycles = t.Cycles, rows = Rows(t) }),
        devices = ledger.Devices.Where(static d => d.Value.Cycles != 0).OrderBy(static d => d.Key, StringComparer.Ordinal)
            .ToDictionary(static d => d.Key, static d => new { exits = d.Value.ExitCount, cycles = d.Value.Cycles, rows = Rows(d.Value) }),
    };

    static LedgerTable Sum(LedgerImage ledger) => (ledger with { Between = new() }).Total;

    static IEnumerable<LedgerRow> Sorted(LedgerTable table) => table.Rows.OrderByDescending(static r => r.Cycles);

    static IEnumerable<object> Rows(LedgerTable table)
    {
        var all = table.Cycles;
        return Sorted(table).Select(r => new { reason = r.Name, handler = Handler(r), r.Count, r.Cycles, share = Share(r.Cycles, all) });
    }

    static string Handler(LedgerRow row) => row.Handler?.ToString().ToLowerInvariant() ?? "-";

    static double Share(ulong part, ulong all) => all == 0 ? 0 : part / (double)all;
}
