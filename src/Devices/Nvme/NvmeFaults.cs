using Vmm.Platform.Faults;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>Commands that go wrong because a fault rule says so.</summary>
public sealed partial class NvmeController
{
    /// <summary>Opcodes of the admin queue, as rules name them, have this added.</summary>
    const uint AdminOpcode = 0x100;

    /// <summary>False: no rule can match a command whose time has come.</summary>
    bool IsWatched(in NvmeCommand command, SubmissionQueue queue) => queue.Id == 0
        ? Function.Dma.IsWatched(command.Opcode + AdminOpcode, null, 0, 1)
        : Function.Dma.IsWatched(command.Opcode, DirectionOf(command.Opcode), command.SLBA, command.NLB);

    /// <summary>Asks the rules about a command whose time has come. True: it is dealt with.</summary>
    bool IsBrokenByRule(in NvmeCommand command, SubmissionQueue queue)
    {
        var plan = Function.Dma.Fabric.Faults!;
        var request = new FaultRequest(FaultPoint.Completion, Function.Address, queue.Id == 0 ? 0 : command.SLBA, queue.Id == 0 ? 1 : command.NLB)
        {
            Opcode = OpcodeOf(command, queue),
            Direction = queue.Id == 0 ? null : DirectionOf(command.Opcode),
        };
        if (plan.Fire(request) is not { Rule.Action: CompletionFault fault } rule)
        {
            return false;
        }

        switch (fault.Kind)
        {
            case CompletionFaultKind.Status:
                var status = (NvmeStatus)(fault.StatusCodeType << 8 | fault.StatusCode) | (fault.DoNotRetry ? NvmeStatus.DoNotRetry : 0);
                plan.Report(rule, request, $"command {command.CID} of queue {queue.Id} completed with status 0x{(int)status:x}", null);
                Complete(queue, command, status);
                AfterCompletion(queue);
                break;
            case CompletionFaultKind.Timeout:
                // Its completion entry stays promised until the controller is reset, as with a command that hangs.
                queue.Lost++;
                plan.Report(rule, request, $"command {command.CID} of queue {queue.Id} never completes", "the controller has no time limit, the host does (NVMe 1.4 §9.1)");
                break;
            default:
                plan.Report(rule, request, "device left its slot", "surprise removal without hot-plug registers shows only in reads of all ones (PCIe §6.7)");
                plan.RemoveDevice(Function.Address);
                break;
        }

        return true;
    }

    static uint OpcodeOf(in NvmeCommand command, SubmissionQueue queue) => queue.Id == 0 ? command.Opcode + AdminOpcode : command.Opcode;

    static FaultDirection? DirectionOf(byte opcode) => opcode switch
    {
        NvmeIoOpcode.Read => FaultDirection.Write,
        NvmeIoOpcode.Write or NvmeIoOpcode.Compare => FaultDirection.Read,
        _ => null,
    };
}
