namespace Vmm.Cpu.Vmx;

/// <summary>
/// The pages that three VMCS fields point to: I/O bitmaps A and B and the MSR bitmap (SDM 3C §25.6.4, §25.6.9). A set bit exits.
/// They are host memory, which the model has none of: the fields hold addresses, the contents are here.
/// </summary>
public sealed class AccessBitmaps
{
    const int WriteLow = 2048, High = 1024;

    readonly byte[] io = new byte[8192];
    readonly byte[] msr = new byte[4096];

    /// <summary>I/O bitmap A (ports below 0x8000) and B behind it.</summary>
    public Span<byte> Io => io;

    /// <summary>The MSR bitmap: reads of low MSRs, reads of high ones, writes of low ones, writes of high ones, 1 KiB each.</summary>
    public Span<byte> Msr => msr;

    /// <summary>Sets or clears the bits of ports.</summary>
    public void SetPort(ushort port, bool exits) => Set(io, port, exits);

    /// <summary>True when an access to the ports exits: a bit of any of them is set, or the access wraps around (SDM 3C §26.1.3).</summary>
    public bool Exits(ushort port, int size)
    {
        if (port + size > 0x1_0000)
        {
            return true;
        }

        for (var i = 0; i < size; i++)
        {
            if (IsSet(io, port + i))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Sets or clears the bit of an MSR; those outside the bitmap's two ranges always exit.</summary>
    public void SetMsr(uint number, bool write, bool exits)
    {
        if (TryBit(number, write, out var bit))
        {
            Set(msr, bit, exits);
        }
    }

    /// <summary>True when the access exits.</summary>
    public bool Exits(uint number, bool write) => !TryBit(number, write, out var bit) || IsSet(msr, bit);

    static bool TryBit(uint number, bool write, out int bit)
    {
        bit = (int)(number & 0x1FFF) + (number >> 31 != 0 ? High * 8 : 0) + (write ? WriteLow * 8 : 0);
        return number is <= 0x1FFF or (>= 0xC000_0000 and <= 0xC000_1FFF);
    }

    static bool IsSet(byte[] map, int bit) => (map[bit >> 3] & 1 << (bit & 7)) != 0;

    static void Set(byte[] map, int bit, bool value) => map[bit >> 3] = (byte)(value ? map[bit >> 3] | 1 << (bit & 7) : map[bit >> 3] & ~(1 << (bit & 7)));
}
