using Vmm.Platform.Interrupts;
using Vmm.Specs;

namespace Vmm.Chipset;

/// <summary>
/// One redirection table entry: compatibility format (82093AA §3.2.4) or, with bit 48 set, remappable format
/// (VT-d §5.1.5.1).
/// </summary>
readonly record struct RedirectionEntry(ulong Raw)
{
    /// <summary>Bits that software writes: all but delivery status, Remote IRR and the reserved ones below the destination.</summary>
    public const ulong Writable = 0xFFFF_0000_0001_AFFF;

    /// <summary>Interrupt vector; the EOI of a level-triggered interrupt is matched with it in both formats.</summary>
    public byte Vector => (byte)Raw;

    /// <summary>A level-triggered message was sent and its EOI has not come.</summary>
    public bool RemoteIrr { get => Bits.Get(Raw, 14); init => Raw = Bits.Set(Raw, 14, value); }

    /// <summary>Level-triggered.</summary>
    public bool Level => Bits.Get(Raw, 15);

    /// <summary>Masked.</summary>
    public bool Masked => Bits.Get(Raw, 16);

    /// <summary>Remappable format.</summary>
    public bool Remappable => Bits.Get(Raw, 48);

    /// <summary>
    /// The message as it leaves the chip. Entry bits 63:48 become address bits 19:4 and bit 11 becomes bit 2, so that an
    /// interrupt remapper finds handle, format and handle bit 15 where it looks for them; data bits 15 and 14 carry trigger mode
    /// and assertion.
    /// </summary>
    public MsiMessage Message
    {
        get
        {
            var lowestPriority = !Remappable && (Raw & 0x700) == 0x100;
            var address = 0xFEE0_0000 | Raw >> 48 << 4 | (Raw >> 11 & 1) << 2 | (lowestPriority ? 8u : 0);
            var data = (uint)(Raw & 0x8FFF) | 1 << 14;
            return new(address, Remappable ? data & ~0x800u : data);
        }
    }
}
