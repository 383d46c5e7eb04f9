using System.Buffers.Binary;
using System.Text;
using Iced.Intel;

namespace Vmm.Firmware.BuiltIn;

/// <summary>The guest's data: every item gets its address at once, so that code can name it before the code has a size.</summary>
internal sealed class DataSegment
{
    readonly byte[] bytes = new byte[Layout.Zeroed - Layout.Data];
    readonly SortedDictionary<string, uint> texts = new(StringComparer.Ordinal);
    readonly List<(uint Address, Routine Code)> pointers = [];
    uint next = Layout.Data;
    uint nextZeroed = Layout.Zeroed;

    /// <summary>The initialised part.</summary>
    public ReadOnlySpan<byte> Initialised => bytes.AsSpan(0, (int)(next - Layout.Data));

    /// <summary>A NUL-terminated text; equal texts share one place.</summary>
    public uint Text(string text)
    {
        if (!texts.TryGetValue(text, out var address))
        {
            address = Initial(Encoding.ASCII.GetBytes(text + '\0'), 1, 1).Address;
            texts.Add(text, address);
        }

        return address;
    }

    /// <summary>Initialised data.</summary>
    public Variable Initial(ReadOnlySpan<byte> content, int size, uint alignment)
    {
        next = Align(next, alignment);
        content.CopyTo(bytes.AsSpan((int)(next - Layout.Data)));
        var variable = new Variable(next, size);
        next += (uint)content.Length;
        return variable;
    }

    /// <summary>A 64-bit number.</summary>
    public Variable Initial(ulong value)
    {
        Span<byte> content = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(content, value);
        return Initial(content, 8, 8);
    }

    /// <summary>A double.</summary>
    public Variable Initial(double value) => Initial(BitConverter.DoubleToUInt64Bits(value));

    /// <summary>Two doubles, aligned for a vector register.</summary>
    public Variable Initial(double low, double high)
    {
        var variable = Initial(BitConverter.GetBytes(low), 8, 16);
        Initial(high);
        return variable;
    }

    /// <summary>A 64-bit pointer to code, filled in when the code has its addresses.</summary>
    public Variable Pointer(Routine code)
    {
        var variable = Initial(0ul);
        pointers.Add((variable.Address, code));
        return variable;
    }

    /// <summary>One 64-bit variable that starts as zero.</summary>
    public Variable U64() => Zeroed(8, 8);

    /// <summary>One 32-bit variable that starts as zero.</summary>
    public Variable U32() => Zeroed(4, 4);

    /// <summary>An array that starts as zero.</summary>
    public Variable Zeroed(uint length, int size, uint alignment = 8)
    {
        nextZeroed = Align(nextZeroed, alignment);
        var variable = new Variable(nextZeroed, size);
        nextZeroed += length;
        return nextZeroed <= Layout.Arena ? variable : throw new InvalidOperationException("the guest's variables do not fit");
    }

    /// <summary>Whole pages that start as zero.</summary>
    public Variable Pages(uint count) => Zeroed(count * Layout.PageSize, 8, Layout.PageSize);

    /// <summary>What initialised data holds.</summary>
    public ReadOnlySpan<byte> Content(Variable variable, int length) => bytes.AsSpan((int)(variable.Address - Layout.Data), length);

    /// <summary>Changes initialised data.</summary>
    public void Fill(Variable variable, ReadOnlySpan<byte> content) => content.CopyTo(bytes.AsSpan((int)(variable.Address - Layout.Data)));

    /// <summary>Stores the addresses of code.</summary>
    public void Resolve(AssemblerResult code)
    {
        foreach (var (address, routine) in pointers)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan((int)(address - Layout.Data)), code.GetLabelRIP(routine.Label));
        }
    }

    static uint Align(uint value, uint alignment) => (value + alignment - 1) & ~(alignment - 1);
}
