using Vmm.Platform.Dma;
using Vmm.Specs.Virtio;

namespace Vmm.Virtio;

/// <summary>
/// One queue as a device uses it, split or packed (virtio 1.2 §2.7, §2.8). Everything in the rings is the guest's: what
/// is impossible makes the device need a reset, and from then on the queue gives nothing. No call allocates or throws.
/// </summary>
public sealed partial class Virtqueue
{
    readonly VirtioPci transport;
    readonly DescriptorSlots slots;
    readonly SplitRing split;
    readonly PackedRing packed;

    internal Virtqueue(VirtioPci transport, int index, int maximum)
    {
        this.transport = transport;
        Index = index;
        Maximum = maximum;
        slots = new(maximum);
        split = new(this);
        packed = new(this);
        Reset();
    }

    /// <summary>Number of the queue.</summary>
    public int Index { get; }

    /// <summary>Most entries.</summary>
    public int Maximum { get; }

    /// <summary>Entries as the driver chose.</summary>
    public int Size { get; internal set; }

    /// <summary>The driver enabled the queue: from now on its size and addresses are fixed.</summary>
    public bool IsEnabled { get; private set; }

    /// <summary>Buffers may be taken and used: the queue is enabled and the device works.</summary>
    public bool IsLive => IsEnabled && transport.IsRunning;

    /// <summary>Packed format.</summary>
    public bool IsPacked { get; private set; }

    /// <summary>Descriptors taken and not used yet.</summary>
    public int InFlight => slots.Used;

    /// <summary>What the queue did so far.</summary>
    public VirtqueueCounters Counters;

    internal ulong DescriptorArea { get; set; }

    internal ulong DriverArea { get; set; }

    internal ulong DeviceArea { get; set; }

    internal ushort Vector { get; set; }

    /// <summary>The device asked to be called again.</summary>
    internal bool IsWaiting { get; set; }

    /// <summary>The driver reset this queue alone, and may set it up again.</summary>
    internal bool WasReset { get; set; }

    internal DescriptorSlots Slots => slots;

    internal DmaPort Dma => transport.Function.Dma;

    internal bool HasEventIndex => transport.HasFeature(VirtioFeature.RingEventIdx);

    internal bool HasIndirect => transport.HasFeature(VirtioFeature.RingIndirectDesc);

    /// <summary>Takes the next buffer to use it at once. False when there is none, or the queue is not live.</summary>
    public bool TryPop(DescriptorChain chain) => TryTake(out var buffer) && TryOpen(buffer, chain);

    /// <summary>Takes the next buffer to use it later. False when there is none, or the queue is not live.</summary>
    public bool TryTake(out VirtioBuffer buffer)
    {
        buffer = default;
        if (!IsLive || !(IsPacked ? packed.TryTake(out buffer) : split.TryTake(out buffer)))
        {
            return false;
        }

        Counters.Taken++;
        return true;
    }

    /// <summary>
    /// Opens a buffer that was taken: its indirect table is read now. False when the descriptors are impossible (the
    /// device then needs a reset) or the queue is not live.
    /// </summary>
    public bool TryOpen(in VirtioBuffer buffer, DescriptorChain chain)
    {
        if (!IsLive)
        {
            return false;
        }

        chain.Open(Dma, buffer);
        var at = buffer.First;
        for (var i = 0; i < buffer.Count; i++)
        {
            ref readonly var descriptor = ref slots.Next(ref at);
            var fault = (descriptor.Flags & DescriptorFlags.Indirect) == 0
                ? chain.Add(descriptor.Address, descriptor.Length, (descriptor.Flags & DescriptorFlags.Write) != 0)
                : AddTable(chain, descriptor);
            if (fault != VirtioFault.None)
            {
                return Fail(fault);
            }
        }

        chain.Rewind();
        return true;
    }

    /// <summary>Gives the open buffer back.</summary>
    /// <param name="chain">The buffer.</param>
    /// <param name="written">Bytes written from the start of its writable part.</param>
    public void Push(DescriptorChain chain, uint written) => Push(chain.Buffer, written);

    /// <summary>Gives a buffer back. The driver learns of it with <see cref="Signal"/>.</summary>
    public void Push(in VirtioBuffer buffer, uint written)
    {
        if (!IsLive)
        {
            return;
        }

        slots.Release(buffer);
        Counters.Used++;
        if (!(IsPacked ? packed.Push(buffer, written) : split.Push(buffer, written)))
        {
            Fail(VirtioFault.RingUnreachable);
        }
    }

    /// <summary>After some <see cref="Push(DescriptorChain, uint)"/>: interrupts, unless the driver does not want it.</summary>
    public void Signal()
    {
        if (!IsLive || !(IsPacked ? packed.HasNews : split.HasNews))
        {
            return;
        }

        if (!(IsPacked ? packed.TryWantsInterrupt(out var wanted) : split.TryWantsInterrupt(out wanted)))
        {
            Fail(VirtioFault.RingUnreachable);
        }
        else if (wanted)
        {
            Counters.Interrupts++;
            transport.InterruptQueue(this);
        }
        else
        {
            Counters.SuppressedInterrupts++;
        }
    }

    /// <summary>The device cannot go on with what it found in a buffer: it needs a reset.</summary>
    public void Break() => Fail(VirtioFault.Request);

    /// <summary>Always false, for callers to return.</summary>
    internal bool Fail(VirtioFault fault)
    {
        transport.NeedReset(fault, Index);
        return false;
    }

    internal void Reset()
    {
        IsEnabled = IsWaiting = IsPacked = WasReset = false;
        Size = Maximum;
        DescriptorArea = DriverArea = DeviceArea = 0;
        Vector = VirtioCommon.NoVector;
        slots.Reset(Maximum);
        split.Reset();
        packed.Reset();
    }

    /// <summary>The driver enables the queue. False, and nothing enabled, when it cannot be.</summary>
    internal bool Enable(bool isPacked)
    {
        if (!HasValidSize(isPacked) || !AreasFit(isPacked))
        {
            return false;
        }

        IsEnabled = true;
        IsPacked = isPacked;
        slots.Reset(Size);
        split.Reset();
        packed.Reset();
        return true;
    }

    internal bool HasValidSize(bool isPacked) => Size > 0 && Size <= Maximum && (isPacked || (Size & Size - 1) == 0);

    bool AreasFit(bool isPacked)
    {
        var size = (ulong)Size * SplitDescriptor.Size;
        return isPacked
            ? Fits(DescriptorArea, size, 16) && Fits(DriverArea, PackedEvent.Size, 4) && Fits(DeviceArea, PackedEvent.Size, 4)
            : Fits(DescriptorArea, size, 16) && Fits(DriverArea, SplitLayout.AvailableSize(Size), 2) &&
              Fits(DeviceArea, SplitLayout.UsedSize(Size), 4);
    }

    static bool Fits(ulong start, ulong length, ulong alignment) =>
        start % alignment == 0 && start <= ulong.MaxValue - length;
}
