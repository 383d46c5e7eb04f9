namespace Vmm.GuestDma.Adoption;

/// <summary>
/// What the two ways of serving a mapping have cost lately, measured in the guest's own time, by size and by number of
/// pieces: a slow mean of map and of unmap. Both ways are tried a few times at first, and the dearer one again now and
/// then, so that a change is noticed.
/// </summary>
sealed class PathCosts
{
    const int Classes = 12, Retry = 512, Trials = 8, Weight = 64;

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
        if (cell.Bounce.Maps < Trials || cell.Direct.Maps < Trials)
        {
            return cell.Bounce.Maps <= cell.Direct.Maps;
        }

        var better = cell.Bounce.Sum < cell.Direct.Sum;
        return cell.Uses % Retry == 0 ? !better : better;
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
