namespace Vmm.GuestDma.Adoption;

/// <summary>
/// What the two ways of serving a mapping have cost lately, measured in the guest's own time, by size and by number of
/// pieces: a slow mean of map and of unmap. Both ways are tried a few times at first, and the dearer one again now and
/// then, so that a change is noticed.
/// </summary>
sealed class PathCosts
{
    const int Classes = 12, Retry = 4096, Trials = 8, Weight = 64;

    struct Way
    {
        public ulong Map, Unmap;
        public uint Maps, Unmaps;

        public readonly ulong Sum => Map + Unmap;
    }

    struct Cell
    {
        public Way Bounce, Direct;
        public uint Uses;
    }

    readonly Cell[] cells = new Cell[Classes * Classes];

    /// <summary>True when copying is the better way for a buffer.</summary>
    public bool PrefersBounce(int pages, int pieces)
    {
        ref var cell = ref cells[Index(pages, pieces)];
        cell.Uses++;
        if (cell.Bounce.Unmaps < Trials || cell.Direct.Unmaps < Trials)
        {
            // With many in flight the first unmap comes late: by turns until both ways are known.
            return (cell.Uses & 1) != 0;
        }

        var better = cell.Bounce.Sum < cell.Direct.Sum;
        return cell.Uses % Retry == 0 ? !better : better;
    }

    /// <summary>Cycles of the cheaper way, map and unmap; 0 while that is not known.</summary>
    public ulong Cheaper(int pages, int pieces)
    {
        ref readonly var cell = ref cells[Index(pages, pieces)];
        return (cell.Bounce.Unmaps, cell.Direct.Unmaps) switch
        {
            (0, 0) => 0,
            (0, _) => cell.Direct.Sum,
            (_, 0) => cell.Bounce.Sum,
            _ => Math.Min(cell.Bounce.Sum, cell.Direct.Sum),
        } / 64;
    }

    /// <summary>Notes the cost of a map.</summary>
    public void NoteMap(int pages, int pieces, bool bounce, ulong cycles)
    {
        ref var cell = ref cells[Index(pages, pieces)];
        ref var way = ref bounce ? ref cell.Bounce : ref cell.Direct;
        way.Map = Mean(way.Map, ++way.Maps, cycles);
    }

    /// <summary>Notes the cost of an unmap.</summary>
    public void NoteUnmap(int pages, int pieces, bool bounce, ulong cycles)
    {
        ref var cell = ref cells[Index(pages, pieces)];
        ref var way = ref bounce ? ref cell.Bounce : ref cell.Direct;
        way.Unmap = Mean(way.Unmap, ++way.Unmaps, cycles);
    }

    static ulong Mean(ulong mean, uint samples, ulong cycles)
    {
        var weight = Math.Min(samples, Weight);
        // In units of 1/64 cycle, so that small steps are not lost.
        return mean - mean / weight + cycles * 64 / weight;
    }

    static int Index(int pages, int pieces) => Log(pages) * Classes + Log(pieces);

    static int Log(int value) => Math.Min(Classes - 1, System.Numerics.BitOperations.Log2((uint)value * 2 - 1));
}
