using Vmm.Platform.Snapshots;
using Vmm.Specs.X86;

namespace Vmm.Platform.Time;

/// <summary>A ledger at one moment.</summary>
/// <param name="Vcpus">By vCPU.</param>
/// <param name="Between">Charged while no vCPU ran: device work at its events.</param>
/// <param name="Devices">By device.</param>
public sealed record LedgerImage(IReadOnlyList<LedgerTable> Vcpus, LedgerTable Between, IReadOnlyDictionary<string, LedgerTable> Devices)
{
    /// <summary>Everything, in one table.</summary>
    public LedgerTable Total => Vcpus.Append(Between).Aggregate(new LedgerTable(), static (sum, table) => sum.Add(table));

    /// <summary>What was charged since <paramref name="earlier"/>, an earlier image of the same ledger.</summary>
    public LedgerImage Since(LedgerImage earlier) => new(
        [.. Vcpus.Select((t, i) => t.Since(earlier.Vcpus[i]))],
        Between.Since(earlier.Between),
        Devices.ToDictionary(d => d.Key, d => earlier.Devices.TryGetValue(d.Key, out var before) ? d.Value.Since(before) : d.Value));
}

/// <summary>
/// Every exit and every other cost, counted and charged to the clock, by vCPU and by device. A charge passes time for the
/// vCPU that runs; between turns it passes time for the event that is being carried out. Charging allocates nothing.
/// </summary>
public sealed class ExitLedger : ISnapshotPart
{
    /// <summary>Devices that may have an account.</summary>
    public const int AccountLimit = 256;

    readonly VirtualClock clock;
    readonly ulong[] prices;
    readonly LedgerTable[] contexts;
    readonly SortedDictionary<string, LedgerAccount> accounts = new(StringComparer.Ordinal);
    LedgerTable current;

    internal ExitLedger(VirtualClock clock, CostModel cost, int vcpus)
    {
        this.clock = clock;
        Cost = cost;
        prices = LedgerTable.Prices(cost);
        contexts = [.. Enumerable.Range(0, vcpus + 1).Select(static _ => new LedgerTable())];
        current = contexts[vcpus];
    }

    /// <summary>The prices.</summary>
    public CostModel Cost { get; }

    /// <summary>False: time passes as ever, but nothing is counted.</summary>
    public bool IsCounting { get; init; } = true;

    /// <summary>The account of a device; the same object for the same name. Devices ask once, when they are built.</summary>
    public LedgerAccount Account(string device)
    {
        if (!accounts.TryGetValue(device, out var account))
        {
            account = new(device, Cost.HandlerOf(device));
            if (accounts.Count < AccountLimit)
            {
                accounts.Add(device, account);
            }
        }

        return account;
    }

    /// <summary>Charges <paramref name="units"/> of a priced kind.</summary>
    public void Charge(CostKind kind, ulong units = 1) => Charge(null, kind, units);

    /// <summary>Charges units of a priced kind that a device's work causes.</summary>
    public void Charge(LedgerAccount? device, CostKind kind, ulong units = 1)
    {
        var at = LedgerTable.IndexOf(kind);
        Enter(device, at, units, prices[at] * units);
    }

    /// <summary>Charges an exit of the vCPU that runs.</summary>
    public void Exit(ExitReason reason, ExitKind kind, ExitHandler handler, LedgerAccount? device = null)
    {
        var at = LedgerTable.IndexOf(reason, kind, handler);
        Enter(device, at, 1, prices[at]);
    }

    void Enter(LedgerAccount? device, int at, ulong units, ulong cycles)
    {
        clock.Charge(cycles);
        if (!IsCounting)
        {
            return;
        }

        Count(current, at, units, cycles);
        if (device != null)
        {
            Count(device.Table, at, units, cycles);
        }
    }

    static void Count(LedgerTable table, int at, ulong units, ulong cycles)
    {
        ref var cell = ref table.Cells[at];
        cell.Count += units;
        cell.Cycles += cycles;
    }

    /// <summary>The vCPU that charges go to, or -1.</summary>
    public int Current => Array.IndexOf(contexts, current) is var at && at == contexts.Length - 1 ? -1 : at;

    /// <summary>Charges go to this vCPU from now on; -1: to no vCPU. The machine loop alone calls this.</summary>
    public void SwitchTo(int vcpu) => current = contexts[vcpu < 0 ? contexts.Length - 1 : vcpu];

    /// <summary>
    /// Books time that the clock knows already: instructions and stalls that the engine charged, cycles asleep. The
    /// machine loop alone calls this.
    /// </summary>
    public void Book(int vcpu, CostKind kind, ulong units, ulong cycles)
    {
        if (IsCounting && units != 0)
        {
            Count(contexts[vcpu], LedgerTable.IndexOf(kind), units, cycles);
        }
    }

    /// <summary>A vCPU's charges, live.</summary>
    public LedgerTable Vcpu(int index) => contexts[index];

    /// <summary>Charges between turns, live.</summary>
    public LedgerTable Between => contexts[^1];

    /// <summary>Devices with an account, by name.</summary>
    public IEnumerable<LedgerAccount> Accounts => accounts.Values;

    /// <summary>A copy of the present state, to compare a later one with.</summary>
    public LedgerImage Take() => new(
        [.. contexts[..^1].Select(static t => t.Copy())], contexts[^1].Copy(), accounts.ToDictionary(static a => a.Key, static a => a.Value.Table.Copy()));

    /// <summary>Forgets everything counted; time stays.</summary>
    public void Reset()
    {
        foreach (var table in contexts)
        {
            table.Clear();
        }

        foreach (var account in accounts.Values)
        {
            account.Table.Clear();
        }
    }

    /// <inheritdoc/>
    public string SectionName => "ledger";

    /// <inheritdoc/>
    public ushort SectionVersion => 2;

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U16((ushort)contexts.Length);
        foreach (var table in contexts)
        {
            Save(writer, table);
        }

        writer.U16((ushort)accounts.Count);
        foreach (var account in accounts.Values)
        {
            writer.Text(account.Device);
            Save(writer, account.Table);
        }
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        Reset();
        if (reader.U16() is var count && count != contexts.Length)
        {
            throw reader.Bad($"{count} tables found where {contexts.Length} belong");
        }

        foreach (var table in contexts)
        {
            Load(reader, table);
        }

        if (reader.U16() is var devices && devices > AccountLimit)
        {
            throw reader.Bad($"{devices} devices exceed {AccountLimit}");
        }

        for (var left = (int)devices; left > 0; left--)
        {
            Load(reader, Account(reader.Text()).Table);
        }
    }

    static void Save(SnapshotWriter writer, LedgerTable table)
    {
        var used = 0;
        foreach (ref readonly var cell in table.Cells.AsSpan())
        {
            used += cell.Count != 0 || cell.Cycles != 0 ? 1 : 0;
        }

        writer.U16((ushort)used);
        for (var i = 0; i < table.Cells.Length; i++)
        {
            var cell = table.Cells[i];
            if (cell.Count != 0 || cell.Cycles != 0)
            {
                writer.U16((ushort)i);
                writer.U64(cell.Count);
                writer.U64(cell.Cycles);
            }
        }
    }

    static void Load(SnapshotReader reader, LedgerTable table)
    {
        for (var left = (int)reader.U16(); left > 0; left--)
        {
            var at = reader.U16();
            if (at >= table.Cells.Length)
            {
                throw reader.Bad($"ledger cell {at} is not below {table.Cells.Length}");
            }

            table.Cells[at] = new() { Count = reader.U64(), Cycles = reader.U64() };
        }
    }
}
