using System.Runtime.InteropServices;
using Vmm.Chipset;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;

namespace Vmm.Beds;

/// <summary>A machine without processors, as code in it would see it. A register access is an exit, except those of assigned devices.</summary>
/// <param name="memory">RAM.</param>
/// <param name="bus">Devices.</param>
/// <param name="clock">Virtual time.</param>
/// <param name="ledger">Where cycles go.</param>
/// <param name="cost">Prices.</param>
internal sealed class GuestView(GuestMemory memory, SystemBus bus, VirtualClock clock, CycleLedger ledger, DmaCost cost) : IGuestView
{
    /// <inheritdoc/>
    public VirtualClock Clock => clock;

    /// <inheritdoc/>
    public CycleLedger Ledger => ledger;

    /// <inheritdoc/>
    public int Cpu { get; set; }

    /// <summary>Registers that the guest reaches without an exit: those of a device that was assigned to it.</summary>
    public PciWindow Assigned { get; set; }

    /// <summary>Called after each register write, to charge what the device did for it.</summary>
    public Action? AfterWrite { get; set; }

    /// <inheritdoc/>
    public Span<byte> Memory(Gpa address, int length) =>
        memory.TryGetSpan(address, length, forWrite: true, out var window)
            ? window
            : throw new ArgumentOutOfRangeException(nameof(address), $"{address}+0x{length:x} is not RAM");

    /// <inheritdoc/>
    public ulong Load(Gpa address) => memory.TryRead(address, out ulong value) ? value : throw NotRam(address);

    /// <inheritdoc/>
    public void Store(Gpa address, ulong value)
    {
        if (!memory.TryWrite(address, value))
        {
            throw NotRam(address);
        }
    }

    /// <inheritdoc/>
    public ulong CompareExchange(Gpa address, ulong expected, ulong replacement) =>
        memory.TryCompareExchange(address, expected, replacement, out var found) ? found : throw NotRam(address);

    /// <inheritdoc/>
    public ulong ReadRegister(ulong address, int size)
    {
        Charge(address);
        ulong value = 0;
        bus.Mmio.Read(address, MemoryMarshal.AsBytes(new Span<ulong>(ref value))[..size]);
        return value;
    }

    /// <inheritdoc/>
    public void WriteRegister(ulong address, int size, ulong value)
    {
        Charge(address);
        bus.Mmio.Write(address, MemoryMarshal.AsBytes(new Span<ulong>(ref value))[..size]);
        AfterWrite?.Invoke();
    }

    /// <inheritdoc/>
    public uint ReadConfig(Bdf function, int offset, int size) => (uint)ReadRegister(Ecam(function, offset), size);

    /// <inheritdoc/>
    public void WriteConfig(Bdf function, int offset, int size, uint value) => WriteRegister(Ecam(function, offset), size, value);

    static ulong Ecam(Bdf function, int offset) => PciHost.EcamBase + ((ulong)function.Value << 12) + (ulong)offset;

    void Charge(ulong address)
    {
        if (address - Assigned.Start >= Assigned.Length)
        {
            ledger.Charge(CycleCause.Exit, cost.Exit);
        }
    }

    static InvalidOperationException NotRam(Gpa address) => new($"{address} is not RAM, or not aligned");
}
