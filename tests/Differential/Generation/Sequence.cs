using Iced.Intel;
using Vmm.Differential.Cases;

namespace Vmm.Differential.Generation;

/// <summary>One to four instructions in a code slot, and what their starting states must satisfy.</summary>
internal sealed class Sequence
{
    public const int Longest = 4;

    public Instruction[] Instructions { get; } = new Instruction[Longest];

    public CodeEntry[] Entries { get; } = new CodeEntry[Longest];

    /// <summary>Byte offset of each instruction in the slot, then of the jump that ends the case.</summary>
    public int[] Starts { get; } = new int[Longest + 1];

    public int Count { get; set; }

    public EncodingGroup Group { get; set; }

    /// <summary>Address of the first instruction.</summary>
    public ulong Rip { get; set; }

    /// <summary>Flags with a defined value after the first n instructions.</summary>
    public ulong[] DefinedAfter { get; } = new ulong[Longest + 1];

    /// <summary>Flags with a defined value at the end.</summary>
    public ulong FlagsMask => DefinedAfter[Count];

    public List<Pin> Pins { get; } = [];

    public Role LastRole => Entries[Count - 1].Role;

    /// <summary>Instructions that use the x87 or MMX registers, or float values in vectors.</summary>
    public bool UsesX87 { get; set; }

    public bool UsesVectors { get; set; }

    public bool UsesFloats { get; set; }

    public void Clear(EncodingGroup group, int slot)
    {
        Count = 0;
        Group = group;
        Rip = Sandbox.CodeBase + (ulong)(slot * Sandbox.SlotBytes);
        Pins.Clear();
        UsesX87 = UsesVectors = UsesFloats = false;
        Starts[0] = 0;
    }

    /// <summary>Number of the instruction at an address (or behind its FWAIT), or -1.</summary>
    public int IndexAt(ulong address)
    {
        for (var i = 0; i < Count; i++)
        {
            var start = Rip + (ulong)Starts[i];
            if (start == address || (start + 1 == address && Entries[i].OpCode.Fwait))
            {
                return i;
            }
        }

        return -1;
    }

    /// <summary>Flags with a defined value when an exception ends the case at an address.</summary>
    public ulong DefinedAt(ulong address)
    {
        var mask = FlagsMask;
        var index = IndexAt(address);
        var (first, end) = index < 0 ? (0, Count) : (index, index + 1);
        for (var i = first; i < end; i++)
        {
            mask = index < 0 ? mask & DefinedAfter[i] : DefinedAfter[i] & ~IcedFlags.ToEflags(Instructions[i].RflagsUndefined);
        }

        return mask;
    }

    /// <summary>Disassembly on one line.</summary>
    public override string ToString()
    {
        var formatter = new IntelFormatter();
        var output = new StringOutput();
        for (var i = 0; i < Count; i++)
        {
            if (i != 0)
            {
                output.Write("; ", FormatterTextKind.Text);
            }

            formatter.Format(Instructions[i], output);
        }

        return output.ToStringAndReset();
    }
}
