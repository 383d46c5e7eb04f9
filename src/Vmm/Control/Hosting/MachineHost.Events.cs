using Vmm.Api.V1;
using Vmm.Control.Iommus;
using Vmm.Platform.Dma;

namespace Vmm.Control.Hosting;

/// <content>
/// Events. What happens inside the machine is told where and when it happens, on the machine's thread; nothing of the
/// machine depends on whether somebody listens.
/// </content>
internal sealed partial class MachineHost
{
    FaultBurst faults = null!;
    volatile bool hasWithheld;

    void Watch()
    {
        faults = new(machine.Clock.Hertz / 1000);
        Console.LineCompleted = line => ReportNow(new() { ConsoleLine = new() { Text = line.Length > 1024 ? line[..1024] : line } });
        machine.Faults.Fired = firing => ReportNow(new() { FaultFired = FaultRuleMessages.Write(firing) });
        machine.MachineChecks.Happened = fired => ReportNow(new() { MachineCheck = Services.MachineCheckService.Describe(machine, fired) });
        if (IIommuView.Of(machine) is { } unit)
        {
            unit.Blocked = request => Tell(unit, request);
        }
    }

    /// <summary>Adds an event about the machine as a whole.</summary>
    void Report(WatchEventsResponse happening) => events.Add(Name, machine.Clock.CyclesToNanoseconds(machine.Now), happening);

    /// <summary>Adds an event of what runs in this very moment: a processor within its turn, or a device.</summary>
    void ReportNow(WatchEventsResponse happening) => events.Add(Name, machine.Clock.NowNanoseconds, happening);

    void Tell(IIommuView unit, in BlockedRequest request)
    {
        var fault = new IommuFault
        {
            Bdf = request.Requester.ToString(), Reason = request.Reason, Name = unit.NameOf(request.Reason), Address = request.Address,
            Read = (request.Access & (DmaAccess.Read | DmaAccess.Atomic)) != 0, Write = (request.Access & (DmaAccess.Write | DmaAccess.Atomic)) != 0, Recorded = request.IsRecorded,
        };
        if (request.Pasid is { } pasid)
        {
            fault.Pasid = pasid;
        }

        if (faults.Take(fault, machine.Clock.Now) is { } happening)
        {
            ReportNow(new() { IommuFaults = happening });
        }

        hasWithheld = faults.HasWithheld;
    }

    /// <summary>Tells of fault conditions that have had no event.</summary>
    void TellWithheld()
    {
        if (hasWithheld)
        {
            hasWithheld = false;
            ReportNow(new() { IommuFaults = faults.Flush() });
        }
    }

    /// <summary>Has a running machine tell of what it withheld. From any thread.</summary>
    public void Nudge()
    {
        if (hasWithheld)
        {
            machine.RequestAttention();
        }
    }
}
