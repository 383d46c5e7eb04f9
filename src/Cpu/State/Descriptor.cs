namespace Vmm.Cpu.State;

/// <summary>A segment descriptor from GDT or LDT, decoded (SDM 3A §3.4.5).</summary>
internal readonly record struct Descriptor(ulong Base, uint Limit, uint Access)
{
    /// <summary>Decodes the low eight bytes.</summary>
    public static Descriptor Parse(ushort selector, ulong raw)
    {
        _ = selector;
        var limit = (uint)(raw & 0xFFFF | raw >> 32 & 0xF_0000);
        if ((raw & 1ul << 55) != 0)
        {
            limit = limit << 12 | 0xFFF;
        }

        return new(raw >> 16 & 0xFF_FFFF | raw >> 32 & 0xFF00_0000, limit, (uint)(raw >> 40 & 0xF0FF));
    }

    /// <summary>Type field.</summary>
    public int Type => (int)(Access & 15);

    /// <summary>Code or data.</summary>
    public bool S => (Access & 0x10) != 0;

    /// <summary>Privilege level.</summary>
    public int DPL => (int)(Access >> 5 & 3);

    /// <summary>Present.</summary>
    public bool P => (Access & 0x80) != 0;

    /// <summary>64-bit code.</summary>
    public bool L => (Access & 0x2000) != 0;

    /// <summary>Default size.</summary>
    public bool DB => (Access & 0x4000) != 0;

    /// <summary>Code segment.</summary>
    public bool IsCode => S && (Type & 8) != 0;

    /// <summary>Conforming code segment.</summary>
    public bool IsConforming => IsCode && (Type & 4) != 0;

    /// <summary>Writable data segment.</summary>
    public bool IsWritableData => S && (Type & 10) == 2;

    /// <summary>Readable: data, or code with the R bit.</summary>
    public bool IsReadable => S && ((Type & 8) == 0 || (Type & 2) != 0);

    /// <summary>As a segment register, accessed bit set.</summary>
    public SegmentRegister ToRegister(ushort selector) => new()
    {
        Base = Base, Limit = Limit, Access = S ? Access | 1 : Access, Selector = selector,
    };
}
