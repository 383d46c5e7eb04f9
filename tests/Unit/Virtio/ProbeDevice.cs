using Vmm.Platform.Dma;
using Vmm.Platform.Registers;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;
using Vmm.Virtio;

namespace Vmm.Unit.Virtio;

/// <summary>A device that answers each buffer with the bytes it read, each plus one, or keeps buffers until it is told.</summary>
sealed class ProbeDevice : IVirtioDevice
{
    public const ushort Id = 42;

    readonly DescriptorChain chain = new(64);

    public ProbeDevice(DmaFabric fabric, VirtualClock clock, VirtioOptions? options = null, int queues = 2)
    {
        Transport = new(
            new("probe", Id, 0xFF_00_00, 0b101, [.. Enumerable.Repeat(64, queues)]), new(0, 4, 0), fabric, clock, this, options ?? new());
    }

    public VirtioPci Transport { get; }

    public RegisterFile Config { get; } = new(
        16,
        new("a", 0, 8, Write: ulong.MaxValue, Reset: 0x1122_3344_5566_7788),
        new("b", 8, 4, Reset: 7));

    /// <summary>Buffers are kept.</summary>
    public bool Holds { get; set; }

    /// <summary>Buffers that one call takes.</summary>
    public int Limit { get; set; } = 1000;

    /// <summary>Features that are refused.</summary>
    public ulong Refused { get; set; }

    public List<(Virtqueue Queue, VirtioBuffer Buffer)> Held { get; } = [];

    public List<byte[]> Seen { get; } = [];

    public int Resets { get; private set; }

    public int Calls { get; private set; }

    public bool Accept(ulong features) => (features & Refused) == 0;

    public bool Process(Virtqueue queue)
    {
        Calls++;
        for (var i = 0; i < Limit; i++)
        {
            if (!queue.TryTake(out var buffer))
            {
                queue.Signal();
                return false;
            }

            if (Holds)
            {
                Held.Add((queue, buffer));
            }
            else
            {
                Answer(queue, buffer);
            }
        }

        queue.Signal();
        return true;
    }

    /// <summary>Answers a buffer that was kept.</summary>
    public void Release(int at, bool signal = true)
    {
        var (queue, buffer) = Held[at];
        Held.RemoveAt(at);
        Answer(queue, buffer);
        if (signal)
        {
            queue.Signal();
        }
    }

    void Answer(Virtqueue queue, in VirtioBuffer buffer)
    {
        if (!queue.TryOpen(buffer, chain))
        {
            return;
        }

        var bytes = new byte[Math.Min(chain.ReadableLength, 4096)];
        if (!chain.TryRead(bytes))
        {
            queue.Break();
            return;
        }

        Seen.Add(bytes);
        var answer = bytes.Select(static b => (byte)(b + 1)).Take((int)Math.Min(chain.WritableLength, 4096)).ToArray();
        if (!chain.TryWrite(answer))
        {
            queue.Break();
            return;
        }

        queue.Push(chain, (uint)answer.Length);
    }

    public void QueueReset(Virtqueue queue) => Held.RemoveAll(h => h.Queue == queue);

    public void Reset()
    {
        Resets++;
        Held.Clear();
        Config.Reset();
    }

    public void Save(SnapshotWriter writer)
    {
        writer.U16((ushort)Held.Count);
        foreach (var (queue, buffer) in Held)
        {
            writer.U16((ushort)queue.Index);
            queue.Save(writer, buffer);
        }
    }

    public void Load(SnapshotReader reader)
    {
        Held.Clear();
        for (var left = reader.U16(); left > 0; left--)
        {
            var index = reader.U16();
            if (index >= Transport.Queues.Count)
            {
                throw reader.Bad($"queue {index}");
            }

            Held.Add((Transport.Queues[index], Transport.Queues[index].Load(reader)));
        }
    }
}

/// <summary>The bench with a probe.</summary>
static class Probe
{
    public static VirtioBench Create(out ProbeDevice probe, VirtioOptions? options = null)
    {
        ProbeDevice? made = null;
        var bench = new VirtioBench((fabric, clock) => (made = new(fabric, clock, options)).Transport);
        probe = made!;
        return bench;
    }

    public static VirtioBench Create(out ProbeDevice probe, bool isPacked, bool eventIndex = true) =>
        Create(out probe, new VirtioOptions { Packed = isPacked, EventIndex = eventIndex });
}
