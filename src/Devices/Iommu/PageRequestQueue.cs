using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>The queue of page requests to software (VT-d §7.4, §7.5).</summary>
sealed class PageRequestQueue(VtdCore core)
{
    const uint Pending = 1;
    const uint Overflow = 2;

    readonly EventChannel requestEvent = new(core, VtdRegister.PECTL);

    public EventChannel Event => requestEvent;

    uint Status
    {
        get => core.Registers.Get32(VtdRegister.PRS);
        set => core.Registers.Set32(VtdRegister.PRS, value);
    }

    /// <summary>Queues a request. False: the queue is full, unreadable or in overflow, and the request is lost (PRO).</summary>
    public bool TryQueue(in PageRequest request)
    {
        var queue = new Iqa(core.Registers.Get64(VtdRegister.PQA));
        var tail = core.Registers.Get32(VtdRegister.PQT) & (queue.Bytes - 1);
        var head = core.Registers.Get32(VtdRegister.PQH) & (queue.Bytes - 1);
        var next = (tail + PageRequestDescriptor.Size) & (queue.Bytes - 1);
        if ((Status & Overflow) != 0 || next == head || !TryStore(new(queue.IQA + tail), request))
        {
            Raise(Overflow);
            return false;
        }

        core.Registers.Set64(VtdRegister.PQT, next);
        core.Counters.PageRequests++;
        Raise(Pending);
        return true;
    }

    bool TryStore(Gpa address, in PageRequest request)
    {
        var descriptor = new PageRequestDescriptor
        {
            Type = (byte)PageRequestDescriptor.PageRequestType,
            PP = request.HasPasid,
            RID = request.Requester.Value,
            PASID = request.HasPasid ? request.Pasid : 0,
            EXR = request.HasPasid && request.Execute,
            PMR = request.HasPasid && request.Privileged,
            RDR = request.Read,
            WRR = request.Write,
            LPIG = request.IsLast,
            PRGI = request.Group,
            ADDR = request.Address.Value,
        };
        return core.Memory.IsRam(address, PageRequestDescriptor.Size) &&
            core.Memory.TryWrite(address, descriptor.Low) && core.Memory.TryWrite(address + 8, descriptor.High) &&
            core.Memory.TryWrite(address + 16, 0ul) && core.Memory.TryWrite(address + 24, 0ul);
    }

    void Raise(uint condition)
    {
        var isNew = Status == 0;
        Status |= condition;
        if (isNew)
        {
            requestEvent.Raise();
        }
    }

    /// <summary>PRS was written: a held event is dropped once every condition was serviced.</summary>
    public void StatusWritten()
    {
        if (Status == 0)
        {
            requestEvent.Withdraw();
        }
    }
}
