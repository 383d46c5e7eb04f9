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
internal sealed class GuestView(GuestMemory memory, SystemBus bus, VirtualClock clock, CycleLedger ledger) : IGuestView
{
    /// <inheritdoc/>
    public VirtualClock Clock => clock;

    /// <inheritdoc/>
    public CycleLedger Ledger => ledger;

    /// <inheritdoc/>
    public int Cpu { get; set; }

    readonly bool[] pending = new bool[256];

    readonly List<(PciWindow Window, CycleCause Cause, ulong Read, ulong Write)> windows = [];

    /// <summary>Prices the registers of a device: an access, and as what its work for a write counts. Others are free, as those of an assigned device.</summary>
    public void Price(PciWindow window, CycleCause work, ulong read, ulong write) => windows.Add((window, work, read, write));

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
        ulong value = 0;
        var before = Enter(address, write: false, out var work);
        bus.Mmio.Read(address, MemoryMarshal.AsBytes(new Span<ulong>(ref value))[..size]);
        Leave(before, work);
        if (work != CycleCause.Application)
        {
            clock.Trace?.Write("kvm_mmio", $"mmio read len {size} gpa 0x{address:x} val 0x{value:x}");
        }

        return value;
    }

    /// <inheritdoc/>
    public void WriteRegister(ulong address, int size, ulong value)
    {
        var before = Enter(address, write: true, out var work);
        bus.Mmio.Write(address, MemoryMarshal.AsBytes(new Span<ulong>(ref value))[..size]);
        Leave(before, work);
        if (work != CycleCause.Application)
        {
            clock.Trace?.Write("kvm_mmio", $"mmio write len {size} gpa 0x{address:x} val 0x{value:x}");
        }
    }

    /// <summary>An interrupt arrives.</summary>
    public void Raise(byte vector) => pending[vector] = true;

    /// <inheritdoc/>
    public bool IsInterruptPending(byte vector) => pending[vector];

    /// <inheritdoc/>
    public void AcknowledgeInterrupt(byte vector) => pending[vector] = false;

    /// <inheritdoc/>
    public uint ReadConfig(Bdf function, int offset, int size) => (uint)ReadRegister(Ecam(function, offset), size);

    /// <inheritdoc/>
    public void WriteConfig(Bdf function, int offset, int size, uint value) => WriteRegister(Ecam(function, offset), size, value);

    static ulong Ecam(Bdf function, int offset) => PciHost.EcamBase + ((ulong)function.Value << 12) + (ulong)offset;

    ulong Enter(ulong address, bool write, out CycleCause work)
    {
        work = CycleCause.Application;
        foreach (var (window, cause, readPrice, writePrice) in CollectionsMarshal.AsSpan(windows))
        {
            if (address - window.Start < window.Length)
            {
                ledger.Charge(CycleCause.Exit, write ? writePrice : readPrice);
                work = cause;
                break;
            }
        }

        return clock.Now;
    }

    /// <summary>The device charged its work while the processor waited.</summary>
    void Leave(ulong before, CycleCause work)
    {
        if (clock.Now != before)
        {
            ledger.Book(work, clock.Now - before);
        }
    }

    static InvalidOperationException NotRam(Gpa address) => new($"{address} is not RAM, or not aligned");
}
