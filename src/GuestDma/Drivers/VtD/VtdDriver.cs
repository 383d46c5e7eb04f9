using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Domains;
using Vmm.GuestDma.Faults;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.VtD;

namespace Vmm.GuestDma.Drivers.VtD;

/// <summary>
/// The driver of one remapping unit in legacy mode: root and context tables, invalidation queue, faults. What the unit can
/// do is read from its capability registers.
/// </summary>
public sealed class VtdDriver : IIommuDriver
{
    const ushort BypassDomain = 1;

    readonly Gpa root;
    readonly FaultReader faults;
    ushort domains = BypassDomain;

    /// <summary>Finds out what the unit can do and turns translation on; until a device is attached its DMA is blocked.</summary>
    /// <param name="view">The machine.</param>
    /// <param name="meter">Prices.</param>
    /// <param name="pages">Memory for tables.</param>
    /// <param name="registers">Register base, from the DMAR table.</param>
    /// <exception cref="InvalidOperationException">Memory for the root table and the queue is missing, or the unit lacks queued invalidation or 4-level second stages.</exception>
    public VtdDriver(IGuestView view, CostMeter meter, GuestPages pages, ulong registers)
    {
        View = view;
        Meter = meter;
        Pages = pages;
        Registers = registers;
        Cap = new(view.ReadRegister(registers + VtdRegister.CAP, 8));
        Ecap = new(view.ReadRegister(registers + VtdRegister.ECAP, 8));
        if (!Ecap.QI || (Cap.SAGAW & 6) == 0)
        {
            throw new InvalidOperationException($"vt-d: CAP 0x{Cap.Raw:x}, ECAP 0x{Ecap.Raw:x}: queued invalidation and 3 or 4 levels are needed");
        }

        root = NewPage();
        Ring = new(view, meter, registers, NewPage(), NewPage());
        view.WriteRegister(registers + VtdRegister.RTADDR, 8, root.Value);
        Command(new Gcmd { SRTP = true });
        Ring.Enable();
        Command(new Gcmd { QIE = true });
        FlushEverything();
        faults = new(view, registers, Cap);
        faults.Enable();
        Command(new Gcmd { TE = true, QIE = true });
    }

    /// <summary>Capabilities.</summary>
    public Cap Cap { get; }

    /// <summary>Extended capabilities.</summary>
    public Ecap Ecap { get; }

    /// <inheritdoc/>
    public ulong Invalidations => Ring.Submitted;

    /// <inheritdoc/>
    public FaultReports Faults => faults.Reports;

    /// <inheritdoc/>
    public bool HasFaults => faults.IsPending;

    /// <inheritdoc/>
    public int HandleFaults() => faults.Handle();

    /// <summary>Errors of the invalidation queue that were put right.</summary>
    public ulong QueueErrors => Ring.Errors;

    /// <summary>Times that the driver waited for invalidations.</summary>
    public ulong Waits => Ring.Waits;

    internal IGuestView View { get; }

    internal CostMeter Meter { get; }

    internal GuestPages Pages { get; }

    internal ulong Registers { get; }

    internal InvalidationRing Ring { get; }

    /// <summary>Largest leaf level of domains that are made from now on: 1 for 4 KiB to 3 for 1 GiB.</summary>
    public int LargestLeaf { get; set; } = 3;

    /// <summary>Levels of second-stage tables: 4 where the unit has them, else 3.</summary>
    public int Levels => (Cap.SAGAW & 4) != 0 ? 4 : 3;

    /// <summary>What AW must be for pass-through: the widest that the unit has (VT-d §9.3).</summary>
    int WidestAddressWidth => System.Numerics.BitOperations.Log2((uint)Cap.SAGAW);

    /// <inheritdoc/>
    public bool TryCreateDomain(out IIommuDomain domain)
    {
        domain = null!;
        if (domains + 1 >= 1 << 4 + 2 * Cap.ND || !VtdDomain.TryCreate(this, (ushort)(domains + 1), out var created))
        {
            return false;
        }

        domains++;
        domain = created;
        return true;
    }

    /// <inheritdoc/>
    public bool TryAttach(Bdf device, IIommuDomain domain) =>
        domain is VtdDomain tables && TrySetContext(device, new()
        {
            P = true, TT = TranslationType.SecondStage, SSPTPTR = tables.Root.Value, AW = Levels - 2, DID = tables.Id,
        });

    /// <inheritdoc/>
    public bool TryBypass(Bdf device) =>
        Ecap.PT && TrySetContext(device, new() { P = true, TT = TranslationType.PassThrough, AW = WidestAddressWidth, DID = BypassDomain });

    /// <summary>Blocks a device.</summary>
    public void Detach(Bdf device) => TrySetContext(device, default);

    bool TrySetContext(Bdf device, ContextEntry entry)
    {
        var slot = root + device.Bus * 16ul;
        var present = new RootEntry(View.Load(slot), 0);
        if (!present.P)
        {
            if (!Pages.TryAllocate(0, AllocationSite.Table, out var table))
            {
                return false;
            }

            View.Memory(table, 4096).Clear();
            FlushLines(table, 4096);
            present = new() { P = true, CTP = table.Value };
            View.Store(slot, present.Low);
            FlushLines(slot, 16);
        }

        var context = new Gpa(present.CTP) + device.DevFn * 16ul;
        // The present bit last: the unit may look at any time.
        View.Store(context, 0);
        View.Store(context + 8, entry.High);
        View.Store(context, entry.Low);
        FlushLines(context, 16);
        FlushEverything();
        return true;
    }

    /// <summary>Invalidates all contexts and all of the IOTLB (VT-d §6.5.2.1, §6.5.2.3).</summary>
    void FlushEverything() => Ring.Submit(
    [
        new() { Type = InvalidationType.ContextCache, G = (int)InvalidationGranularity.Global },
        new() { Type = InvalidationType.Iotlb, G = (int)InvalidationGranularity.Global, DW = Cap.DWD, DR = Cap.DRD },
    ]);

    /// <summary>Flushes cache lines when the unit's walks do not snoop (ECAP.C, VT-d §6.2).</summary>
    internal void FlushLines(Gpa address, int bytes)
    {
        if (!Ecap.C)
        {
            Meter.CacheFlush((int)(((address.Value + (ulong)bytes + 63 & ~63ul) - (address.Value & ~63ul)) / 64));
        }
    }

    Gpa NewPage()
    {
        if (!Pages.TryAllocate(0, AllocationSite.Table, out var page))
        {
            throw new InvalidOperationException("vt-d: no memory for the root table and the invalidation queue");
        }

        View.Memory(page, 4096).Clear();
        return page;
    }

    /// <summary>Writes GCMD and waits for GSTS to follow (VT-d §11.4.4).</summary>
    void Command(Gcmd command)
    {
        View.WriteRegister(Registers + VtdRegister.GCMD, 4, command.Raw);
        var wanted = command.Raw & 0xFFFF_FFFF & ~(1u << 29 | 1u << 27);
        for (var i = 0; ((uint)View.ReadRegister(Registers + VtdRegister.GSTS, 4) & wanted) != wanted; i++)
        {
            if (i == 1000)
            {
                throw new InvalidOperationException($"vt-d: GCMD 0x{command.Raw:x} has no effect");
            }
        }
    }
}
