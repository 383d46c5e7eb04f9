using Vmm.Platform.Dma;
using Vmm.Platform.Interrupts;

namespace Vmm.Platform.Faults;

/// <content>Interrupt messages that go wrong.</content>
public sealed partial class FaultPlan
{
    /// <summary>What suppresses the report of an interrupt that is lost or invented.</summary>
    const string NoCompletion = "a memory write is posted, nobody answers it (PCIe §2.1)";

    /// <summary>Asks about a message before it is sent. False: it is not to be sent, and <paramref name="blocked"/> tells whether it was refused.</summary>
    internal bool TryPass(DmaPort port, ref MsiMessage message, out bool blocked)
    {
        blocked = false;
        var request = new FaultRequest(FaultPoint.Interrupt, port.Requester, message.Address, 4) { Direction = FaultDirection.Write, Vector = message.Data & 0xFF };
        if (Fire(request) is not { Rule.Action: InterruptFault fault } rule)
        {
            return true;
        }

        switch (fault.Kind)
        {
            case InterruptFaultKind.Drop:
                Report(rule, request, "message lost", NoCompletion);
                return false;
            case InterruptFaultKind.Duplicate:
                Report(rule, request, "message sent twice", NoCompletion);
                port.RaiseUnasked(message);
                return true;
            case InterruptFaultKind.Storm:
                Storm(port, rule, fault, request, message);
                return true;
            case InterruptFaultKind.WrongVector:
                message = Distort(message, fault.DataXor);
                Report(rule, request, $"message sent as {message.Address:x}/{message.Data:x}", NoCompletion);
                return true;
            default:
                var report = port.Translator?.InjectRemapFault(port.Requester, message, fault.Reason) ?? new InjectedFault(false, "no remapping unit is in front of the device");
                blocked = report.Blocked;
                Report(rule, request, blocked ? $"blocked as fault reason 0x{fault.Reason:x}" : "message passed", report.SuppressedBy);
                return !blocked;
        }
    }

    void Storm(DmaPort port, ArmedRule rule, InterruptFault fault, in FaultRequest request, MsiMessage message)
    {
        var period = Math.Max(1, clock.ToCycles(fault.PeriodNanoseconds, 1_000_000_000));
        var stored = held.TryAdd(new(rule.Rule.Name, HeldEffects.Until.Time, port.Requester, message.Address, BitConverter.GetBytes(message.Data))
        {
            Due = clock.Now + period, Messages = fault.Repeat, Period = period,
        });
        Report(rule, request, stored ? $"message repeated {fault.Repeat} times" : "message sent once: too much is held back", NoCompletion);
    }

    /// <summary>Inverts data bits; of a remappable message, whose data says nothing, bits of the interrupt index (VT-d §5.1.2.2).</summary>
    static MsiMessage Distort(MsiMessage message, uint bits) =>
        (message.Address & 0x10) == 0
            ? message with { Data = message.Data ^ bits }
            : message with { Address = message.Address ^ (ulong)(bits & 0x7FFF) << 5 ^ (bits >> 15 & 1) << 2 };
}
