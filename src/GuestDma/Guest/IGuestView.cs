using Vmm.GuestDma.Cost;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;

namespace Vmm.GuestDma.Guest;

/// <summary>
/// The machine as code inside it sees it: memory, device registers, configuration space and time. Register and
/// configuration accesses are exits and are charged as such; memory is not. An address that is not RAM is a defect of the caller.
/// </summary>
public interface IGuestView
{
    /// <summary>Virtual time.</summary>
    VirtualClock Clock { get; }

    /// <summary>Where cycles are charged.</summary>
    CycleLedger Ledger { get; }

    /// <summary>Number of the processor that runs.</summary>
    int Cpu { get; }

    /// <summary>A window on RAM.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not RAM.</exception>
    Span<byte> Memory(Gpa address, int length);

    /// <summary>Reads an aligned 64-bit word.</summary>
    ulong Load(Gpa address);

    /// <summary>Writes an aligned 64-bit word.</summary>
    void Store(Gpa address, ulong value);

    /// <summary>Replaces an aligned 64-bit word if it holds <paramref name="expected"/>; returns what it held.</summary>
    ulong CompareExchange(Gpa address, ulong expected, ulong replacement);

    /// <summary>Reads a device register of 1, 2, 4 or 8 bytes.</summary>
    ulong ReadRegister(ulong address, int size);

    /// <summary>Writes a device register of 1, 2, 4 or 8 bytes.</summary>
    void WriteRegister(ulong address, int size, ulong value);

    /// <summary>True when an interrupt with this vector came and was not acknowledged.</summary>
    bool IsInterruptPending(byte vector) => false;

    /// <summary>Acknowledges an interrupt, as a handler does when it starts.</summary>
    void AcknowledgeInterrupt(byte vector)
    {
    }

    /// <summary>Reads PCI configuration space: 1, 2 or 4 bytes.</summary>
    uint ReadConfig(Bdf function, int offset, int size);

    /// <summary>Writes PCI configuration space: 1, 2 or 4 bytes.</summary>
    void WriteConfig(Bdf function, int offset, int size, uint value);
}
