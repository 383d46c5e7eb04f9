using System.Buffers.Binary;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Measurement;

/// <summary>What a stream does.</summary>
/// <param name="Bytes">Bytes of an operation.</param>
/// <param name="InFlight">Buffers that are mapped at once.</param>
/// <param name="PieceBytes">A buffer is made of contiguous pieces of this size, whole pages, or less than a page for small buffers.</param>
/// <param name="Direction">Who writes.</param>
/// <param name="Application">Cycles of everything of an operation that is not mapping.</param>
/// <param name="Latency">Cycles that the device takes for an operation.</param>
/// <param name="CyclesPerSegment">Cycles that the device takes for each DMA segment.</param>
/// <param name="CyclesPerKibibyte">Cycles that the device's link takes for 1 KiB.</param>
/// <param name="Reuse">Buffers come back in turn; false: pages are freed and allocated anew for each operation, as far as memory allows it.</param>
/// <param name="Attributes">Attributes of every mapping.</param>
public sealed record StreamPlan(
    int Bytes, int InFlight, int PieceBytes = 4096, DmaDirection Direction = DmaDirection.FromDevice, ulong Application = 2000,
    ulong Latency = 20_000, ulong CyclesPerSegment = 0, ulong CyclesPerKibibyte = 0, bool Reuse = true, DmaAttributes Attributes = DmaAttributes.None);

/// <summary>
/// A driver with a ring of buffers for a device that takes them in order. The device really touches the first bytes of each
/// page of a buffer, and what it writes is compared.
/// </summary>
public sealed class StreamLoad : ILoad
{
    const int BufferPages = 49152;

    readonly MeasuredMachine machine;
    readonly StreamPlan plan;
    readonly ScatterEntry[] list;
    readonly Gpa[] pages;
    readonly int order, pieces;
    readonly Slot[] ring;
    int head, count;
    ulong linkFree, next;
    uint stamp;

    struct Slot
    {
        public ulong Started, Due, Number;
        public Iova Address;
        public uint Stamp;
    }

    /// <param name="machine">What it runs on.</param>
    /// <param name="plan">What it does.</param>
    /// <exception cref="LoadException">Not enough memory for the buffers.</exception>
    public StreamLoad(MeasuredMachine machine, StreamPlan plan)
    {
        this.machine = machine;
        this.plan = plan;
        var piece = Math.Min(plan.PieceBytes, plan.Bytes);
        pieces = (plan.Bytes + piece - 1) / piece;
        order = System.Numerics.BitOperations.Log2((uint)Math.Max(1, piece + 4095 >> 12) * 2 - 1);
        list = new ScatterEntry[pieces];
        ring = new Slot[plan.InFlight];
        // Large sets share pages: what is measured is mapping, and every buffer is a different list of pages. Buffers that
        // do not come back are lists that were never seen then, and nothing is freed.
        pages = new Gpa[Math.Min(BufferPages >> order, plan.InFlight * pieces)];
        for (var i = 0; i < pages.Length; i++)
        {
            if (!machine.Pages.TryAllocate(order, AllocationSite.Buffer, out pages[i]))
            {
                throw new LoadException("load: not enough memory for the buffers");
            }
        }
    }

    bool SharesPages => pages.Length < plan.InFlight * pieces;

    /// <inheritdoc/>
    public long Bytes => plan.Bytes;

    /// <inheritdoc/>
    public int Bad { get; private set; }

    /// <inheritdoc/>
    public LatencyTable Latency { get; private set; } = new();

    /// <inheritdoc/>
    public void Run(int operations)
    {
        for (var i = 0; i < operations; i++)
        {
            if (count == plan.InFlight)
            {
                Finish();
            }

            Begin();
            machine.Poll();
        }
    }

    /// <inheritdoc/>
    public void Restart() => Latency = new();

    /// <inheritdoc/>
    public void Free()
    {
        while (count > 0)
        {
            Finish();
        }

        foreach (var page in pages)
        {
            machine.Pages.Free(page, order);
        }
    }

    void Begin()
    {
        var ledger = machine.Meter.Ledger;
        ledger.Charge(CycleCause.Application, plan.Application);
        ref var slot = ref ring[(head + count) % ring.Length];
        slot.Number = next++;
        slot.Stamp = ++stamp;
        slot.Started = machine.View.Clock.Now;
        if (!plan.Reuse)
        {
            Renew(slot.Number);
        }

        Describe(slot.Number);
        if (plan.Direction != DmaDirection.FromDevice)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(machine.View.Memory(list[0].Address, 4), slot.Stamp);
        }

        var segments = machine.Device.Mapper.MapScatterList(list, plan.Direction, plan.Attributes);
        if (segments == 0)
        {
            Bad++;
            slot.Address = IDmaMapper.MappingError;
            slot.Due = machine.View.Clock.Now;
            count++;
            return;
        }

        slot.Address = list[0].DmaAddress;
        var busy = plan.CyclesPerSegment * (ulong)segments + (plan.CyclesPerKibibyte * (ulong)plan.Bytes >> 10);
        linkFree = Math.Max(linkFree, machine.View.Clock.Now) + busy;
        slot.Due = linkFree + plan.Latency;
        Transfer(list.AsSpan(0, segments), slot.Stamp);
        count++;
    }

    /// <summary>The device moves the first bytes of each page; its own time is accounted for already.</summary>
    void Transfer(ReadOnlySpan<ScatterEntry> segments, uint value)
    {
        Span<byte> word = stackalloc byte[4];
        var clock = machine.View.Clock;
        var now = clock.Now;
        foreach (ref readonly var segment in segments)
        {
            for (var at = 0; at < segment.DmaLength; at += 4096)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(word, value);
                var moved = plan.Direction == DmaDirection.ToDevice ? machine.Port.TryRead(segment.DmaAddress + (ulong)at, word) : machine.Port.TryWrite(segment.DmaAddress + (ulong)at, word);
                Bad += moved && (plan.Direction != DmaDirection.ToDevice || at > 0 || segment.DmaAddress != segments[0].DmaAddress || BinaryPrimitives.ReadUInt32LittleEndian(word) == value) ? 0 : 1;
            }
        }

        clock.SwitchTo(now);
    }

    void Finish()
    {
        ref var slot = ref ring[head];
        var clock = machine.View.Clock;
        if (slot.Due > clock.Now)
        {
            machine.Meter.Ledger.Charge(CycleCause.Idle, slot.Due - clock.Now);
        }

        head = (head + 1) % ring.Length;
        count--;
        if (slot.Address == IDmaMapper.MappingError)
        {
            return;
        }

        Describe(slot.Number);
        list[0].DmaAddress = slot.Address;
        machine.Device.Mapper.UnmapScatterList(list, plan.Direction, plan.Attributes);
        Latency.Add(clock.Now - slot.Started);
        if (plan.Direction != DmaDirection.ToDevice && !SharesPages && BinaryPrimitives.ReadUInt32LittleEndian(machine.View.Memory(list[0].Address, 4)) != slot.Stamp)
        {
            Bad++;
        }
    }

    /// <summary>The list of a buffer: its first piece is its own, the others follow at a distance.</summary>
    void Describe(ulong number)
    {
        var buffer = number % (ulong)plan.InFlight;
        for (var i = 0; i < pieces; i++)
        {
            var at = SharesPages ? (buffer + (plan.Reuse ? 0 : number * 10007) + (ulong)i * (plan.Reuse ? 7919 : 7919 + number / (ulong)pages.Length)) % (ulong)pages.Length : buffer + (ulong)i * (ulong)plan.InFlight;
            list[i].Address = pages[at];
            list[i].Length = Math.Min(plan.PieceBytes, plan.Bytes - i * plan.PieceBytes);
        }
    }

    /// <summary>Gives the pages of a buffer back and takes others, as a page cache does.</summary>
    void Renew(ulong number)
    {
        for (var i = 0; i < pieces && !SharesPages; i++)
        {
            ref var page = ref pages[number % (ulong)plan.InFlight + (ulong)i * (ulong)plan.InFlight];
            if (machine.Pages.TryAllocate(order, AllocationSite.Buffer, out var fresh))
            {
                machine.Pages.Free(page, order);
                page = fresh;
            }
        }
    }
}
