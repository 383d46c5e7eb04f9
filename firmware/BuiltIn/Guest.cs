using Iced.Intel;
using Vmm.Firmware.BuiltIn.Runtime;

namespace Vmm.Firmware.BuiltIn;

/// <summary>A callable piece of guest code.</summary>
/// <param name="label">Its first instruction.</param>
internal sealed class Routine(Label label)
{
    Label label = label;

    /// <summary>Its first instruction.</summary>
    public Label Label => label;

    /// <summary>Puts the label at the assembler's position.</summary>
    public void Place(Assembler assembler)
    {
        assembler.Label(ref label);
        // The assembler takes one label per instruction; an empty one makes room for the next label.
        assembler.zero_bytes();
    }
}

/// <summary>
/// The guest under construction: code, data, and the parts of its runtime. Arguments of routines are in RDI, RSI, RDX, RCX,
/// R8 and R9, the result is in RAX; RBX, RBP and R12 to R15 survive a call, other registers and the flags do not.
/// </summary>
internal sealed partial class Guest
{
    /// <summary>Starts with nothing.</summary>
    public Guest()
    {
        Tally = new(this);
        Console = new(this);
        Descriptors = new(this);
        Faults = new(this);
        Checks = new(this);
        Clock = new(this);
        Pages = new(this);
        Apic = new(this);
        Options = new(this);
        Acpi = new(this);
        Power = new(this);
        User = new(this);
        Counters = new(this);
        Processors = new(this);
        Pci = new(this);
        Messages = new(this);
        Edu = new(this);
        Nvme = new(this);
        Iommu = new(this);
        Viommu = new(this);
    }

    /// <summary>64-bit code.</summary>
    public Assembler A { get; } = new(64);

    /// <summary>Data.</summary>
    public DataSegment Data { get; } = new();

    /// <summary>Counts of what drivers do.</summary>
    public Tally Tally { get; }

    /// <summary>Output.</summary>
    public SerialConsole Console { get; }

    /// <summary>GDT, IDT and task state.</summary>
    public Descriptors Descriptors { get; }

    /// <summary>Exceptions and interrupts.</summary>
    public Faults Faults { get; }

    /// <summary>Checks, tests and the verdict.</summary>
    public Checks Checks { get; }

    /// <summary>Time.</summary>
    public Clock Clock { get; }

    /// <summary>Rates of counters.</summary>
    public Counters Counters { get; }

    /// <summary>The other processors.</summary>
    public Processors Processors { get; }

    /// <summary>PCI configuration space.</summary>
    public PciConfig Pci { get; }

    /// <summary>MSI and MSI-X.</summary>
    public MessageInterrupts Messages { get; }

    /// <summary>The test device.</summary>
    public Edu Edu { get; }

    /// <summary>The NVMe controller.</summary>
    public NvmeDriver Nvme { get; }

    /// <summary>The VT-d unit.</summary>
    public RemappingUnit Iommu { get; }

    /// <summary>The virtio-iommu.</summary>
    public ParavirtualIommu Viommu { get; }

    /// <summary>Page tables.</summary>
    public PageTables Pages { get; }

    /// <summary>Interrupt controllers.</summary>
    public Apic Apic { get; }

    /// <summary>ACPI tables.</summary>
    public AcpiReader Acpi { get; }

    /// <summary>The way out.</summary>
    public Power Power { get; }

    /// <summary>CPL 3.</summary>
    public UserMode User { get; }

    /// <summary>The command line.</summary>
    public CommandLine Options { get; }

    /// <summary>A routine that is not placed yet.</summary>
    public Routine NewRoutine() => new(A.CreateLabel());

    /// <summary>Emits every routine of the runtime.</summary>
    public void EmitRuntime()
    {
        Tally.Emit();
        Console.Emit();
        Faults.Emit();
        Checks.Emit();
        Clock.Emit();
        Pages.Emit();
        Apic.Emit();
        Acpi.Emit();
        Power.Emit();
        Options.Emit();
        User.Emit();
        Counters.Emit();
        Processors.Emit();
        Pci.Emit();
        Messages.Emit();
        Edu.Emit();
        Nvme.Emit();
        Iommu.Emit();
        Viommu.Emit();
    }

    /// <summary>Assembles the code.</summary>
    public AssemblerResult Assemble(CodeWriter writer) =>
        A.Assemble(writer, Layout.Text, BlockEncoderOptions.ReturnNewInstructionOffsets);
}
