using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;
using Vmm.Specs.VtD;

namespace Vmm.GuestDma.Drivers.VtD;

/// <summary>
/// The queued invalidation interface from the driver's side (VT-d §6.5.2): descriptors, then a wait descriptor whose
/// status write is polled for. One page of 256 descriptors; the last page half holds nothing, the status word has its own page.
/// </summary>
sealed class InvalidationRing(IGuestView view, ulong registers, Gpa ring, Gpa status)
{
    const int Entries = 256, PollLimit = 1000;
    int tail;

    /// <summary>Descriptors submitted, without waits.</summary>
    public ulong Submitted { get; private set; }

    /// <summary>Submissions, each with a wait.</summary>
    public ulong Waits { get; private set; }

    /// <summary>Sets the queue up and turns it on (VT-d §6.5.2.2).</summary>
    public void Enable()
    {
        view.WriteRegister(registers + VtdRegister.IQT, 8, 0);
        view.WriteRegister(registers + VtdRegister.IQA, 8, ring.Value);
    }

    /// <summary>Submits descriptors and waits for them. Throws when the unit stops on an error: the descriptors were wrong.</summary>
    public void Submit(ReadOnlySpan<InvalidationDescriptor> descriptors)
    {
        foreach (var descriptor in descriptors)
        {
            Put(descriptor);
        }

        view.Store(status, 0);
        Put(new InvalidationDescriptor { Type = InvalidationType.Wait, SW = true, StatusData = 1, StatusAddress = status.Value });
        view.WriteRegister(registers + VtdRegister.IQT, 8, (ulong)tail * 16);
        Submitted += (ulong)descriptors.Length;
        Waits++;
        for (var i = 0; (uint)view.Load(status) != 1; i++)
        {
            if (i == PollLimit)
            {
                throw new InvalidOperationException($"vt-d: an invalidation does not end; FSTS is 0x{view.ReadRegister(registers + VtdRegister.FSTS, 4):x}");
            }
        }
    }

    void Put(InvalidationDescriptor descriptor)
    {
        view.Store(ring + (ulong)tail * 16, descriptor.Low);
        view.Store(ring + (ulong)tail * 16 + 8, descriptor.High);
        tail = (tail + 1) % Entries;
    }
}
