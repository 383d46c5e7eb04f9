using Vmm.Cpu.Vcpus;
using Vmm.Platform.Time;
using Vmm.Specs.X86;

namespace Vmm.Machine;

/// <summary>Exits in the words of Linux's kvm trace events.</summary>
internal static class ExitTrace
{
    /// <summary>Before the exit is handled.</summary>
    public static void Exit(IEventTrace trace, in VmExit exit, ulong rip) =>
        trace.Write("kvm_exit", $"vcpu {exit.Vcpu} reason {NameOf(exit.Reason)} rip 0x{rip:x} info1 0x{exit.Qualification:x16}");

    /// <summary>After: what was read or written.</summary>
    public static void Result(IEventTrace trace, in VmExit exit)
    {
        var write = exit.Kind == ExitKind.Write;
        switch (exit.Reason)
        {
            case ExitReason.IoInstruction:
                trace.Write("kvm_pio", $"{(write ? "pio_write" : "pio_read")} at 0x{exit.Address:x} size {exit.Size} count 1 val 0x{Cut(exit):x}");
                break;
            case ExitReason.EptMisconfiguration or ExitReason.EptViolation or ExitReason.ApicAccess:
                trace.Write("kvm_mmio", $"mmio {(write ? "write" : "read")} len {exit.Size} gpa 0x{exit.Address:x} val 0x{Cut(exit):x}");
                break;
            case ExitReason.Rdmsr or ExitReason.Wrmsr:
                trace.Write("kvm_msr", $"{(exit.Reason == ExitReason.Rdmsr ? "msr_read" : "msr_write")} {exit.Address:x} = 0x{exit.Data:x}{(exit.Refused ? " (#GP)" : "")}");
                break;
            case ExitReason.Cpuid:
                trace.Write("kvm_cpuid", $"func {exit.Address:x} idx {exit.Data:x}");
                break;
        }
    }

    static ulong Cut(in VmExit exit) => exit.Size >= 8 ? exit.Data : exit.Data & ((1ul << (exit.Size * 8)) - 1);

    static string NameOf(ExitReason reason) => reason switch
    {
        ExitReason.ExceptionOrNmi => "EXCEPTION_NMI",
        ExitReason.Init => "INIT_SIGNAL",
        ExitReason.StartUpIpi => "SIPI_SIGNAL",
        ExitReason.Rdmsr => "MSR_READ",
        ExitReason.Wrmsr => "MSR_WRITE",
        ExitReason.EntryGuestState => "INVALID_STATE",
        ExitReason.EntryMsrLoad => "MSR_LOAD_FAIL",
        ExitReason.EntryMachineCheck => "MCE_DURING_VMENTRY",
        ExitReason.Mwait or ExitReason.Monitor or ExitReason.Pause => Upper(reason) + "_INSTRUCTION",
        ExitReason.VirtualizedEoi => "EOI_INDUCED",
        ExitReason.EptMisconfiguration => "EPT_MISCONFIG",
        ExitReason.GdtrIdtrAccess => "GDTR_IDTR",
        ExitReason.LdtrTrAccess => "LDTR_TR",
        _ => Upper(reason),
    };

    static string Upper(ExitReason reason) =>
        string.Concat(reason.ToString().Select(static (c, i) => (char.IsUpper(c) && i != 0 ? "_" : "") + char.ToUpperInvariant(c)));
}
