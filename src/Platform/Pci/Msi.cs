using System.Numerics;
using Vmm.Platform.Dma;
using Vmm.Platform.Registers;
using Vmm.Specs.Pci;

namespace Vmm.Platform.Pci;

/// <summary>MSI with 64-bit address and, if asked for, per-vector masks (PCI 3.0 §6.8.1).</summary>
public sealed class Msi
{
    readonly RegisterFile config;
    readonly DmaPort port;
    readonly bool maskable;

    internal Msi(RegisterFile config, DmaPort port, int offset, int vectors, bool maskable)
    {
        this.config = config;
        this.port = port;
        this.maskable = maskable;
        Offset = offset;
        Count = vectors;
        var control = (uint)BitOperations.Log2((uint)vectors) << 1 | MsiLayout.Address64 | (maskable ? MsiLayout.PerVectorMask : 0u);
        config.Define(new("MSI.MC", offset + MsiLayout.Control, 2, Write: 0x71, Reset: control));
        config.Define(new("MSI.MA", offset + MsiLayout.AddressLow, 4, Write: 0xFFFF_FFFC));
        config.Define(new("MSI.MUA", offset + MsiLayout.AddressHigh, 4, Write: uint.MaxValue));
        config.Define(new("MSI.MD", offset + MsiLayout.Data, 2, Write: 0xFFFF));
        if (maskable)
        {
            config.Define(new("MSI.MASK", offset + MsiLayout.Mask, 4, Write: Lanes));
            config.Define(new("MSI.PEND", offset + MsiLayout.Pending, 4));
        }
    }

    /// <summary>Offset of the capability.</summary>
    public int Offset { get; }

    /// <summary>Length of the capability in bytes.</summary>
    public int Length => LengthOf(maskable);

    /// <summary>Messages the device can send: 1, 2, 4 ... 32.</summary>
    public int Count { get; }

    /// <summary>MSI Enable.</summary>
    public bool Enabled => (Control & MsiLayout.Enable) != 0;

    internal static int LengthOf(bool maskable) => maskable ? 0x18 : 0x0E;

    uint Lanes => (uint)((1ul << Count) - 1);

    ushort Control => config.Get16(Offset + MsiLayout.Control);

    /// <summary>Messages the guest granted: a power of two, never more than <see cref="Count"/>.</summary>
    int Granted => Math.Min(1 << (Control >> 4 & 7), Count);

    /// <summary>Sends a message, or notes it as pending while it is masked. False when MSI is off.</summary>
    public bool Raise(int vector)
    {
        if (!Enabled || (uint)vector >= (uint)Count)
        {
            return false;
        }

        // A device with fewer messages than it could use shares them.
        vector &= Granted - 1;
        if (maskable && (config.Get32(Offset + MsiLayout.Mask) >> vector & 1) != 0)
        {
            config.Change32(Offset + MsiLayout.Pending, 0, 1u << vector);
            return true;
        }

        Send(vector);
        return true;
    }

    /// <summary>The guest wrote the capability: what is pending and no longer masked goes out.</summary>
    internal void Written()
    {
        if (!maskable || !Enabled)
        {
            return;
        }

        var ready = config.Get32(Offset + MsiLayout.Pending) & ~config.Get32(Offset + MsiLayout.Mask);
        config.Change32(Offset + MsiLayout.Pending, ready, 0);
        for (; ready != 0; ready &= ready - 1)
        {
            Send(BitOperations.TrailingZeroCount(ready));
        }
    }

    void Send(int vector)
    {
        var address = config.Get64(Offset + MsiLayout.AddressLow);
        var data = (uint)config.Get16(Offset + MsiLayout.Data) & ~(uint)(Granted - 1) | (uint)vector;
        port.Raise(new(address, data));
    }
}
