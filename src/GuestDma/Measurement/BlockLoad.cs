using System.Buffers.Binary;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Drivers.Nvme;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Measurement;

/// <summary>What a block load does.</summary>
/// <param name="BlockBytes">Bytes of an I/O: 4 KiB to 1 MiB.</param>
/// <param name="Depth">I/Os in flight.</param>
/// <param name="Write">Writes instead of reads.</param>
/// <param name="Application">Cycles of everything of an I/O that is not mapping.</param>
/// <param name="Piecewise">Every piece of a buffer is mapped by itself, as Linux did for untrusted devices before there were pools.</param>
public sealed record BlockPlan(int BlockBytes, int Depth, bool Write, ulong Application = 8448, bool Piecewise = false);

/// <summary>
/// I/O as fio does it with libaio and direct I/O: a fixed number in flight, each with a buffer of its own that is used
/// again, made of pages that do not lie next to each other. One processor does everything. Data is compared.
/// </summary>
public sealed class BlockLoad : ILoad
{
    const ulong DiskBlockBytes = 4096;

    readonly MeasuredMachine machine;
    readonly BlockPlan plan;
    readonly DmaDirection direction;
    readonly ScatterEntry[][] buffers;
    readonly Gpa[] allocated;
    readonly int[] lengths, queueOf;
    readonly ulong[] started, blocks;
    readonly Queue<int> idle = new();
    readonly ulong diskBlocks;
    ulong next;

    /// <param name="machine">What it runs on.</param>
    /// <param name="plan">What it does.</param>
    /// <param name="diskBlocks">Blocks of 4 KiB on the disk; each starts with its number plus one.</param>
    /// <exception cref="LoadException">Not enough memory for the buffers.</exception>
    public BlockLoad(MeasuredMachine machine, BlockPlan plan, ulong diskBlocks)
    {
        this.machine = machine;
        this.plan = plan;
        this.diskBlocks = diskBlocks;
        direction = plan.Write ? DmaDirection.ToDevice : DmaDirection.FromDevice;
        var pages = plan.BlockBytes / 4096;
        buffers = new ScatterEntry[plan.Depth][];
        allocated = new Gpa[plan.Depth * pages];
        lengths = new int[plan.Depth];
        queueOf = new int[plan.Depth];
        started = new ulong[plan.Depth];
        blocks = new ulong[plan.Depth];
        for (var i = 0; i < allocated.Length; i++)
        {
            if (!machine.Pages.TryAllocate(0, AllocationSite.Buffer, out allocated[i]))
            {
                throw new LoadException("load: not enough memory for the buffers");
            }
        }

        // Page j of buffer i is page j * depth + i: neighbours in a buffer are never neighbours in memory.
        for (var i = 0; i < plan.Depth; i++)
        {
            buffers[i] = new ScatterEntry[pages];
            for (var j = 0; j < pages; j++)
            {
                buffers[i][j] = new() { Address = allocated[j * plan.Depth + i], Length = 4096 };
            }

            idle.Enqueue(i);
        }
    }

    /// <inheritdoc/>
    public long Bytes => plan.BlockBytes;

    /// <inheritdoc/>
    public int Bad { get; private set; }

    /// <inheritdoc/>
    public LatencyTable Latency { get; private set; } = new();

    /// <inheritdoc/>
    public void Run(int operations)
    {
        int submitted = 0, done = 0;
        while (done < operations)
        {
            while (submitted < operations && idle.Count > 0 && TrySubmit())
            {
                submitted++;
                machine.Poll();
                done += Reap();
            }

            var reaped = Reap();
            done += reaped;
            if (reaped == 0 && done < operations && !machine.Wait())
            {
                throw new LoadException("load: the device does not answer");
            }
        }
    }

    /// <inheritdoc/>
    public void Restart() => Latency = new();

    /// <inheritdoc/>
    public void Free()
    {
        foreach (var page in allocated)
        {
            machine.Pages.Free(page, 0);
        }
    }

    bool TrySubmit()
    {
        var queues = machine.Nvme!.Queues;
        var queue = 0;
        while (queue < queues.Count && queues[queue].Room == 0)
        {
            queue++;
        }

        if (queue == queues.Count)
        {
            return false;
        }

        var at = idle.Dequeue();
        machine.Meter.Ledger.Charge(CycleCause.Application, plan.Application);
        started[at] = machine.View.Clock.Now;
        var count = (ulong)plan.BlockBytes / DiskBlockBytes;
        blocks[at] = next++ * 1571 * count % (diskBlocks - count + 1);
        Prepare(at);
        lengths[at] = Map(buffers[at]);
        queueOf[at] = queue;
        if (lengths[at] == 0)
        {
            Bad++;
            idle.Enqueue(at);
            return false;
        }

        if (!queues[queue].TryTransfer(plan.Write, blocks[at], (int)count, buffers[at].AsSpan(0, lengths[at]), at))
        {
            throw new LoadException("load: the driver takes no command");
        }

        queues[queue].Ring();
        return true;
    }

    int Map(ScatterEntry[] buffer)
    {
        if (!plan.Piecewise)
        {
            return machine.Device.Mapper.MapScatterList(buffer, direction);
        }

        for (var i = 0; i < buffer.Length; i++)
        {
            buffer[i].DmaAddress = machine.Device.Mapper.MapPage(buffer[i].Address, buffer[i].Length, direction);
            buffer[i].DmaLength = buffer[i].Length;
            if (buffer[i].DmaAddress == IDmaMapper.MappingError)
            {
                Unmap(buffer.AsSpan(0, i));
                return 0;
            }
        }

        return buffer.Length;
    }

    void Unmap(Span<ScatterEntry> buffer)
    {
        if (!plan.Piecewise)
        {
            machine.Device.Mapper.UnmapScatterList(buffer, direction);
            return;
        }

        foreach (ref readonly var piece in buffer)
        {
            machine.Device.Mapper.UnmapPage(piece.DmaAddress, piece.Length, direction);
        }
    }

    int Reap()
    {
        var count = 0;
        foreach (var queue in machine.Nvme!.Queues)
        {
            var before = count;
            while (queue.TryReap(out var done))
            {
                Finish(done);
                count++;
            }

            if (count != before)
            {
                queue.FinishReaping();
            }
        }

        return count;
    }

    void Finish(NvmeDone done)
    {
        var at = done.Tag;
        Unmap(buffers[at]);
        Latency.Add(machine.View.Clock.Now - started[at]);
        Bad += done.Status == 0 && (plan.Write || IsRight(at)) ? 0 : 1;
        idle.Enqueue(at);
    }

    void Prepare(int at)
    {
        for (var j = 0; j < buffers[at].Length; j++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(machine.View.Memory(buffers[at][j].Address, 8), plan.Write ? blocks[at] + (ulong)j + 1 : 0);
        }
    }

    bool IsRight(int at)
    {
        for (var j = 0; j < buffers[at].Length; j++)
        {
            if (BinaryPrimitives.ReadUInt64LittleEndian(machine.View.Memory(buffers[at][j].Address, 8)) != blocks[at] + (ulong)j + 1)
            {
                return false;
            }
        }

        return true;
    }
}
