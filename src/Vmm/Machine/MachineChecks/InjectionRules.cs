using Vmm.Cpu.MachineCheck;
using Vmm.Platform.Memory;
using Vmm.Specs.X86;

namespace Vmm.Machine.MachineChecks;

/// <summary>Which injections a machine can carry out.</summary>
internal static class InjectionRules
{
    const ulong FlagsGiven = McgStatus.RIPV | McgStatus.EIPV | McgStatus.MCIP;

    /// <summary>Everything that is wrong with an injection; empty when nothing is.</summary>
    public static IReadOnlyList<InjectionViolation> Violations(MachineCheckInjection injection, MachineCheckOptions? options, int vcpus, GuestMemory memory)
    {
        var found = new List<InjectionViolation>();
        void Check(bool good, string field, string problem)
        {
            if (!good)
            {
                found.Add(new(field, problem));
            }
        }

        if (options == null)
        {
            found.Add(new("machine", "the processors have no machine-check architecture"));
            return found;
        }

        var onPage = injection.When.Trigger == InjectionTrigger.Page;
        var status = new MciStatus(injection.Status ?? MciStatus.VAL);
        Check(injection.Cpu >= 0 && injection.Cpu < vcpus, "cpu", $"{injection.Cpu} is not 0 to {vcpus - 1}");
        Check(injection.Bank is not { } bank || (bank >= 0 && bank < options.Banks), "bank", $"{injection.Bank} is not 0 to {options.Banks - 1}");
        Check(onPage || injection.Bank != null, "bank", "is needed unless a page is waited for");
        Check(onPage || injection.Status != null, "status", "is needed unless a page is waited for");
        Check(status.Has(MciStatus.VAL), "status", $"0x{status.Value:x} does not have VAL (bit 63)");
        Check(injection.Status == null || injection.Addr is null or 0 || status.Has(MciStatus.ADDRV), "addr", "is given, but status does not have ADDRV (bit 58)");
        Check(injection.McgStatus is not { } flags || (flags & ~FlagsGiven) == 0, "mcg_status", $"0x{injection.McgStatus:x} has bits besides RIPV, EIPV and MCIP; LMCE_S follows from signal local");
        Check(injection.Signal != MachineCheckSignal.Local || options.Local, "signal", "the processors have no local machine checks");
        Check(Enum.IsDefined(injection.Signal), "signal", $"{injection.Signal} is unknown");
        Check(Enum.IsDefined(injection.When.Trigger), "when", $"{injection.When.Trigger} is unknown");
        Check(Enum.IsDefined(injection.When.By), "by", $"{injection.When.By} is unknown");
        Check(!onPage || memory.IsRam(new(injection.When.Value), 1), "page", $"0x{injection.When.Value:x} is not RAM");
        Check(onPage || !injection.Once, "once", "makes sense for a page only");
        Check(onPage || injection.When.By == PageToucher.Any, "by", "makes sense for a page only");
        Check(injection.When.Trigger != InjectionTrigger.Exit || (Enum.IsDefined(injection.When.Exit) && injection.When.Value != 0), "exit", "needs a known reason and a count of at least 1");
        return found;
    }
}
