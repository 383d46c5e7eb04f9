using Iced.Intel;
using Vmm.Cpu.Interpreter;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Cpu.Vmx;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Vmm.Specs.X86;

namespace Vmm.Unit.Cpu.Vmx;

/// <summary>A vCPU in long mode under a VMCS that a test sets up: code at 0x10000, an IDT whose handlers halt, a GDT and a TSS.</summary>
internal sealed unsafe class VmxBench : IExitHandler, IDisposable
{
    public const ulong CodeAt = 0x10000, HandlersAt = 0x20000, Data = 0x30000, Mmio = 0xF000_0000;

    public VmxBench(VmxOptions? options = null, bool exitNothing = true)
    {
        Code = new(Memory);
        Cpu = new(0, new(), Memory, Code, Clock, options) { Handler = this, Apic = Apic };
        EnterLongMode();
        if (exitNothing && options == null)
        {
            ExitOnNothing();
        }
    }

    public GuestMemory Memory { get; } = new(64 << 20);

    public CodeCache Code { get; }

    public VirtualClock Clock { get; } = new();

    public Vcpu Cpu { get; }

    public NonRoot Vmx => Cpu.Vmx;

    public CpuState* State => Cpu.State;

    public FakeApic Apic { get; } = new();

    /// <summary>Exits, with the VMCS as it was at each.</summary>
    public List<(VmExit Exit, Vmcs Vmcs)> Exits { get; } = [];

    public (DeathCause Cause, string Detail)? Death { get; private set; }

    public Action<VmExit>? OnExit { get; set; }

    /// <summary>Clears every control that makes something exit; the tests set one at a time.</summary>
    public void ExitOnNothing()
    {
        Vmx.Write(VmcsField.PinControls, VmxCapability.Pin.MustBeOne);
        Vmx.Write(VmcsField.PrimaryControls, VmxCapability.Primary.MustBeOne | (ulong)(PrimaryControls.UseMsrBitmaps | PrimaryControls.ActivateSecondary | PrimaryControls.UseTscOffsetting));
        Vmx.Write(VmcsField.SecondaryControls, (ulong)(SecondaryControls.EnableEpt | SecondaryControls.UnrestrictedGuest | SecondaryControls.EnableRdtscp));
        Vmx.Write(VmcsField.ExceptionBitmap, 0);
        Vmx.Write(VmcsField.Cr0GuestHostMask, Cr.Cr0NE);
        Vmx.Write(VmcsField.Cr4GuestHostMask, VmxCapability.Cr4Vmxe | Cr.Cr4MCE);
        Vmx.Bitmaps.Msr.Clear();
        Vmx.Bitmaps.Io.Clear();
    }

    public void SetPrimary(PrimaryControls bits) => Vmx.Write(VmcsField.PrimaryControls, Vmx.Read(VmcsField.PrimaryControls) | (ulong)bits);

    public void SetSecondary(SecondaryControls bits) => Vmx.Write(VmcsField.SecondaryControls, Vmx.Read(VmcsField.SecondaryControls) | (ulong)bits);

    public void SetPin(PinControls bits) => Vmx.Write(VmcsField.PinControls, Vmx.Read(VmcsField.PinControls) | (ulong)bits);

    void EnterLongMode()
    {
        Memory.TryWrite(new Gpa(0x1000), 0x2007ul);
        Memory.TryWrite(new Gpa(0x2000), 0x3007ul);
        Memory.TryWrite(new Gpa(0x2018), 0x6007ul);
        for (var i = 0ul; i < 512; i++)
        {
            Memory.TryWrite(new Gpa(0x3000 + i * 8), i << 21 | 0x87);
            Memory.TryWrite(new Gpa(0x6000 + i * 8), 0xC000_0000 + (i << 21) | 0x87);
        }

        // GDT at 0x4000: code 0x10, data 0x18, TSS 0x20, LDT 0x30. IDT at 0x5000; each handler is a HLT.
        Memory.TryWrite(new Gpa(0x4010), 0x00AF_9B00_0000_FFFFul);
        Memory.TryWrite(new Gpa(0x4018), 0x00CF_9300_0000_FFFFul);
        Memory.TryWrite(new Gpa(0x4020), 0x0000_8900_7000_0067ul);
        Memory.TryWrite(new Gpa(0x4030), 0x0000_8200_7800_0067ul);
        for (var i = 0ul; i < 256; i++)
        {
            var handler = HandlersAt + i * 16;
            Memory.TryWrite(new Gpa(0x5000 + i * 16), (handler & 0xFFFF) | 0x10 << 16 | 0x8E00ul << 32 | handler >> 16 << 48);
            Memory.TryWrite(new Gpa(handler), (byte)0xF4);
        }

        var s = State;
        s->Cr3 = 0x1000;
        s->Cr4 = Cr.Cr4PAE | Cr.Cr4OSFXSR | Cr.Cr4OSXMMEXCPT;
        s->Efer = Cr.EferLME | Cr.EferLMA | Cr.EferNXE | Cr.EferSCE;
        s->Cr0 = Cr.Cr0PE | Cr.Cr0PG | Cr.Cr0WP | Cr.Cr0ET | Cr.Cr0NE;
        s->Cs = new() { Selector = 0x10, Access = 0xA09B, Limit = uint.MaxValue };
        s->Ss = s->Ds = s->Es = s->Fs = s->Gs = new() { Selector = 0x18, Access = 0xC093, Limit = uint.MaxValue };
        s->Tr = new() { Selector = 0x20, Access = 0x8B, Limit = 0x67, Base = 0x7000 };
        s->GdtBase = 0x4000;
        s->GdtLimit = 0x3F;
        s->IdtBase = 0x5000;
        s->IdtLimit = 0xFFF;
        s->Gpr[4] = 0x9000;
        s->Rip = CodeAt;
        Cpu.StateChanged();
    }

    public VmxBench Load(Action<Assembler> emit)
    {
        var assembler = new Assembler(64);
        emit(assembler);
        var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), CodeAt);
        Memory.TryWrite(new Gpa(CodeAt), stream.ToArray());
        return this;
    }

    public VmxBench Run(long budget = 10_000)
    {
        Cpu.Run(this, budget);
        return this;
    }

    /// <summary>The exits of a reason.</summary>
    public IReadOnlyList<(VmExit Exit, Vmcs Vmcs)> Of(ExitReason reason) => [.. Exits.Where(e => e.Exit.Reason == reason)];

    public void Handle(ref VmExit exit)
    {
        if (exit.By != ExitService.Direct)
        {
            Exits.Add((exit, Vmx.Capture()));
            OnExit?.Invoke(exit);
        }

        if (exit.IsMemory || exit.Reason == ExitReason.IoInstruction)
        {
            exit.Data = 0x5A;
        }
    }

    public void Die(DeathCause cause, int vcpu, string detail) => Death = (cause, detail);

    public void Dispose()
    {
        Cpu.Dispose();
        Code.Dispose();
        Memory.Dispose();
    }

    internal sealed class FakeApic : Platform.Interrupts.ILocalApic
    {
        public byte Vector { get; set; } = 0x40;

        public Vcpu? Wire { get; set; }

        public byte TaskPriority { get; set; }

        public bool IsEnabled => true;

        public byte Acknowledge()
        {
            Wire?.SetIntr(false);
            return Vector;
        }

        public bool TryReadMsr(uint msr, out ulong value)
        {
            value = 0;
            return true;
        }

        public bool TryWriteMsr(uint msr, ulong value) => true;
    }
}
