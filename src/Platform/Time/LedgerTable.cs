using Vmm.Specs.X86;

namespace Vmm.Platform.Time;

/// <summary>How often something was charged, and how many cycles that came to.</summary>
public struct LedgerCell
{
    /// <summary>Times, or units.</summary>
    public ulong Count;

    /// <summary>Cycles.</summary>
    public ulong Cycles;
}

/// <summary>One line of a ledger.</summary>
/// <param name="Name">Exit reason and kind ("IoInstruction.Write"), or the key of a cost.</param>
/// <param name="Handler">Who handled the exit; null for what is not an exit.</param>
/// <param name="Count">Times, or units.</param>
/// <param name="Cycles">Cycles.</param>
public readonly record struct LedgerRow(string Name, ExitHandler? Handler, ulong Count, ulong Cycles);

/// <summary>Charges of one vCPU, of one device, or a sum or difference of such. Fixed size.</summary>
public sealed class LedgerTable
{
    const int Handlers = 3;
    const int Exits = ExitReasons.Count * ExitReasons.Kinds * Handlers;

    internal const int Size = Exits + CostKinds.Count;

    internal LedgerCell[] Cells { get; } = new LedgerCell[Size];

    internal static int IndexOf(ExitReason reason, ExitKind kind, ExitHandler handler) => ExitReasons.Key(reason, kind) * Handlers + (int)handler;

    internal static int IndexOf(CostKind kind) => Exits + (int)kind;

    /// <summary>Price list over all cells.</summary>
    internal static ulong[] Prices(CostModel cost)
    {
        var prices = new ulong[Size];
        for (var i = 0; i < Exits; i++)
        {
            var (reason, kind, handler) = KeyOf(i);
            prices[i] = cost[CostModel.PriceOf(reason, kind, handler)];
        }

        for (var i = 0; i < CostKinds.Priced; i++)
        {
            prices[Exits + i] = cost[(CostKind)i];
        }

        prices[IndexOf(CostKind.Stall)] = cost.Instruction;
        return prices;
    }

    static (ExitReason Reason, ExitKind Kind, ExitHandler Handler) KeyOf(int index)
    {
        var key = index / Handlers;
        return ((ExitReason)(key / ExitReasons.Kinds), (ExitKind)(key % ExitReasons.Kinds), (ExitHandler)(index % Handlers));
    }

    /// <summary>An exit's cell.</summary>
    public LedgerCell this[ExitReason reason, ExitKind kind, ExitHandler handler] => Cells[IndexOf(reason, kind, handler)];

    /// <summary>Exits of a reason, whatever their kind and handler.</summary>
    public LedgerCell this[ExitReason reason]
    {
        get
        {
            LedgerCell sum = default;
            foreach (ref readonly var cell in Cells.AsSpan((int)reason * ExitReasons.Kinds * Handlers, ExitReasons.Kinds * Handlers))
            {
                sum.Count += cell.Count;
                sum.Cycles += cell.Cycles;
            }

            return sum;
        }
    }

    /// <summary>What is not an exit.</summary>
    public LedgerCell this[CostKind kind] => Cells[IndexOf(kind)];

    /// <summary>All exits.</summary>
    public ulong ExitCount
    {
        get
        {
            var sum = 0ul;
            foreach (ref readonly var cell in Cells.AsSpan(0, Exits))
            {
                sum += cell.Count;
            }

            return sum;
        }
    }

    /// <summary>Cycles of all rows.</summary>
    public ulong Cycles
    {
        get
        {
            var sum = 0ul;
            foreach (ref readonly var cell in Cells.AsSpan())
            {
                sum += cell.Cycles;
            }

            return sum;
        }
    }

    /// <summary>Rows that are not zero: exits by reason, then the rest.</summary>
    public IEnumerable<LedgerRow> Rows
    {
        get
        {
            for (var i = 0; i < Size; i++)
            {
                var cell = Cells[i];
                if (cell.Count != 0 || cell.Cycles != 0)
                {
                    yield return i < Exits
                        ? new(ExitReasons.Name(KeyOf(i).Reason, KeyOf(i).Kind), KeyOf(i).Handler, cell.Count, cell.Cycles)
                        : new(((CostKind)(i - Exits)).Key(), null, cell.Count, cell.Cycles);
                }
            }
        }
    }

    /// <summary>What was charged since <paramref name="earlier"/>, an earlier state of the same table.</summary>
    public LedgerTable Since(LedgerTable earlier)
    {
        var difference = new LedgerTable();
        for (var i = 0; i < Size; i++)
        {
            difference.Cells[i] = new() { Count = Cells[i].Count - earlier.Cells[i].Count, Cycles = Cells[i].Cycles - earlier.Cells[i].Cycles };
        }

        return difference;
    }

    /// <summary>Adds time asleep to a copy that is looked at while a vCPU sleeps.</summary>
    public void AddIdle(ulong cycles)
    {
        ref var cell = ref Cells[IndexOf(CostKind.Idle)];
        cell.Count += cycles == 0 ? 0u : 1u;
        cell.Cycles += cycles;
    }

    internal LedgerTable Add(LedgerTable other)
    {
        for (var i = 0; i < Size; i++)
        {
            Cells[i].Count += other.Cells[i].Count;
            Cells[i].Cycles += other.Cells[i].Cycles;
        }

        return this;
    }

    internal LedgerTable Copy() => new LedgerTable().Add(this);

    internal void Clear() => Array.Clear(Cells);
}

/// <summary>What one device caused: the exits it answered and the costs of its work. The second view of the same charges.</summary>
public sealed class LedgerAccount
{
    internal LedgerAccount(string device, ExitHandler handler)
    {
        Device = device;
        Handler = handler;
    }

    /// <summary>Device name.</summary>
    public string Device { get; }

    /// <summary>Who handles accesses to its registers.</summary>
    public ExitHandler Handler { get; }

    /// <summary>Its charges.</summary>
    public LedgerTable Table { get; } = new();
}
