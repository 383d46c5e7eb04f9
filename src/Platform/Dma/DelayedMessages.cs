using Vmm.Platform.Interrupts;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Platform.Dma;

/// <summary>
/// Interrupt messages on their way. A device whose event took time (its transfers, the walks of the IOMMU) raises its
/// message when that time is over, so a vCPU that runs meanwhile sees it no earlier.
/// </summary>
sealed class DelayedMessages : ITimerTarget
{
    /// <summary>Messages that may be on their way at once; a further one arrives at once.</summary>
    public const int Limit = 1024;

    readonly VirtualClock clock;
    readonly IInterruptSink sink;
    readonly ClockTimer timer;
    readonly Message[] ring = new Message[Limit];
    int head, count;

    readonly record struct Message(ulong Due, MsiMessage Interrupt);

    public DelayedMessages(VirtualClock clock, IInterruptSink sink)
    {
        this.clock = clock;
        this.sink = sink;
        timer = clock.CreateTimer("dma.messages", this);
    }

    public void Deliver(MsiMessage interrupt)
    {
        if (clock.WorkInEvent == 0 && count == 0 || count == Limit)
        {
            sink.Deliver(interrupt);
            return;
        }

        // Messages do not overtake each other.
        var due = count == 0 ? clock.Now : Math.Max(clock.Now, ring[(head + count - 1) % Limit].Due);
        ring[(head + count++) % Limit] = new(due, interrupt);
        timer.Arm(ring[head].Due);
    }

    public void Expired(ClockTimer timer, ulong due)
    {
        while (count != 0 && ring[head].Due <= clock.Now)
        {
            var interrupt = ring[head].Interrupt;
            head = (head + 1) % Limit;
            count--;
            sink.Deliver(interrupt);
        }

        if (count != 0)
        {
            timer.Arm(ring[head].Due);
        }
    }

    public void Reset()
    {
        count = 0;
        timer.Disarm();
    }

    public void Save(SnapshotWriter writer)
    {
        writer.U16((ushort)count);
        for (var i = 0; i < count; i++)
        {
            var message = ring[(head + i) % Limit];
            writer.U64(message.Due);
            writer.U64(message.Interrupt.Address);
            writer.U32(message.Interrupt.Data);
        }
    }

    public void Load(SnapshotReader reader)
    {
        Reset();
        var waiting = reader.U16();
        if (waiting > Limit)
        {
            throw reader.Bad($"{waiting} interrupt messages exceed {Limit}");
        }

        head = 0;
        count = waiting;
        for (var i = 0; i < count; i++)
        {
            ring[i] = new(reader.U64(), new(reader.U64(), reader.U32()));
        }

        if (count != 0)
        {
            timer.Arm(ring[0].Due);
        }
    }
}
