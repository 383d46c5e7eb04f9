namespace Vmm.Platform.Registers;

/// <summary>The registers that one guest write touched: <c>foreach</c> yields the offset of each, in ascending order. Allocates nothing.</summary>
public readonly ref struct TouchedRegisters
{
    readonly RegisterFile? file;

    internal TouchedRegisters(RegisterFile file, int start, int end)
    {
        this.file = file;
        Start = start;
        End = end;
    }

    /// <summary>First byte written.</summary>
    public int Start { get; }

    /// <summary>One past the last byte written; equal to <see cref="Start"/> when the write missed the block.</summary>
    public int End { get; }

    /// <summary>True when the write lay inside the block.</summary>
    public bool IsInside => file != null;

    /// <summary>True when the write touched a byte of [<paramref name="offset"/>, <paramref name="offset"/> + <paramref name="length"/>).</summary>
    public bool Overlaps(int offset, int length) => file != null && Start < offset + length && offset < End;

    /// <summary>Enumerates register offsets.</summary>
    public Enumerator GetEnumerator() => new(file, Start, End);

    /// <summary>Walks the touched bytes, one step a register.</summary>
    public ref struct Enumerator
    {
        readonly RegisterFile? file;
        readonly int end;
        int at;
        int index;

        internal Enumerator(RegisterFile? file, int start, int end)
        {
            this.file = file;
            this.end = end;
            at = start;
            index = -1;
        }

        /// <summary>Offset of the current register.</summary>
        public readonly int Current => file!.OffsetOf(index);

        /// <summary>Moves to the next register touched.</summary>
        public bool MoveNext()
        {
            if (file == null)
            {
                return false;
            }

            while (at < end)
            {
                var found = file.Owner(at++);
                if (found >= 0 && found != index)
                {
                    index = found;
                    return true;
                }
            }

            return false;
        }
    }
}
