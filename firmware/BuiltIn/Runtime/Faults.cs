using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>
/// Takes every interrupt. Interrupts from devices are counted and acknowledged; an exception that a test provoked is noted
/// and the test goes on; any other one ends the test that caused it.
/// </summary>
internal sealed class Faults
{
    const int SavedRegisters = 15 * 8;

    /// <summary>The interrupt frame, by offset from RBX in the handler.</summary>
    const int FrameVector = SavedRegisters, FrameError = FrameVector + 8, FrameRip = FrameError + 8, FrameCs = FrameRip + 8, FrameFlags = FrameCs + 8, FrameRsp = FrameFlags + 8, FrameSs = FrameRsp + 8;

    static readonly AssemblerRegister64[] Registers = [rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];

    readonly Guest g;
    readonly Variable resume, resumeRsp, resumeFlags;
    readonly Routine exception, unexpected;

    /// <summary>Reserves the variables.</summary>
    public Faults(Guest guest)
    {
        g = guest;
        (resume, resumeRsp, resumeFlags) = (g.Data.U64(), g.Data.U64(), g.Data.U64());
        (Vector, Error, Address, Rip) = (g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64());
        (Selector, Rflags, Rsp, Frame, HandlerSs) = (g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64());
        Counts = g.Data.Zeroed(256 * 4, 4);
        Order = g.Data.Zeroed(256 * 4, 4);
        Times = g.Data.Zeroed(256 * 8, 8);
        Sequence = g.Data.U32();
        Stray = g.Data.U64();
        (exception, unexpected) = (g.NewRoutine(), g.NewRoutine());
    }

    /// <summary>Vector of the last exception that was expected, or <see cref="None"/>.</summary>
    public Variable Vector { get; }

    /// <summary>Its error code.</summary>
    public Variable Error { get; }

    /// <summary>CR2 at the time.</summary>
    public Variable Address { get; }

    /// <summary>RIP, CS, RFLAGS and RSP that the processor saved.</summary>
    public Variable Rip { get; }

    /// <summary>CS.</summary>
    public Variable Selector { get; }

    /// <summary>RFLAGS.</summary>
    public Variable Rflags { get; }

    /// <summary>RSP.</summary>
    public Variable Rsp { get; }

    /// <summary>Where the processor saved them: address of the vector, below error code, RIP, CS, RFLAGS, RSP and SS.</summary>
    public Variable Frame { get; }

    /// <summary>SS in the handler.</summary>
    public Variable HandlerSs { get; }

    /// <summary>Interrupts by vector since power-on.</summary>
    public Variable Counts { get; }

    /// <summary>By vector: the value that <see cref="Sequence"/> had at its last interrupt.</summary>
    public Variable Order { get; }

    /// <summary>By vector: TSC at its last interrupt.</summary>
    public Variable Times { get; }

    /// <summary>Interrupts of all vectors.</summary>
    public Variable Sequence { get; }

    /// <summary>Exceptions on processors other than the first: vector + 1 of the last one.</summary>
    public Variable Stray { get; }

    /// <summary>Value of <see cref="Vector"/> when nothing happened.</summary>
    public const int None = 0xFFFF;

    /// <summary>
    /// Emits code during which one exception is expected. It ends the code; general registers keep the values they had
    /// then. Without one, <see cref="Vector"/> is <see cref="None"/>.
    /// </summary>
    public void Expect(Action code)
    {
        var a = g.A;
        var end = a.CreateLabel();
        a.pushfq();
        a.pop(__qword_ptr[(ulong)resumeFlags.Address]);
        a.lea(rax, __[end]);
        a.mov(resume, rax);
        a.mov(resumeRsp, rsp);
        a.mov(Vector, None);
        code();
        a.mov(resume, 0);
        g.Place(end);
    }

    /// <summary>Checks the last expected exception.</summary>
    /// <param name="what">What was tried.</param>
    /// <param name="vector">The vector.</param>
    /// <param name="error">The error code, or null for one that has none.</param>
    /// <param name="address">CR2, or null when it is not set.</param>
    public void Check(string what, int vector, int? error = null, Operand? address = null)
    {
        g.Checks.Equal(Vector, vector, what + ": vector");
        if (error is { } code)
        {
            g.Checks.Equal(Error, code, what + ": error code");
        }

        if (address is { } place)
        {
            g.Checks.Equal(Address, place, what + ": CR2");
        }
    }

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        EmitCommon();
        g.Define(exception, EmitException);
        g.Define(unexpected, EmitUnexpected);
    }

    void EmitCommon()
    {
        var a = g.A;
        g.Descriptors.Common.Place(a);
        for (var i = Registers.Length - 1; i >= 0; i--)
        {
            a.push(Registers[i]);
        }

        a.cld();
        a.mov(rbx, rsp);
        a.mov(edi, __dword_ptr[rbx + FrameVector]);
        a.cmp(edi, 32);
        g.If(When.Below, () => a.call(exception.Label), EmitInterrupt);
        foreach (var register in Registers)
        {
            a.pop(register);
        }

        a.add(rsp, 16);
        a.iretq();
    }

    void EmitInterrupt()
    {
        EmitCount();
        g.A.call(g.Apic.EndOfInterrupt.Label);
    }

    /// <summary>Counts the interrupt in RDI and notes when it was.</summary>
    void EmitCount()
    {
        var a = g.A;
        a.rdtsc();
        a.shl(rdx, 32);
        a.or(rax, rdx);
        a.mov(Times.At(rdi), rax);
        a.mov(eax, 1);
        a.@lock.xadd(Sequence, eax);
        a.inc(eax);
        a.mov(Order.At(rdi), eax);
        a.@lock.inc(Counts.At(rdi));
    }

    void EmitException()
    {
        var a = g.A;
        a.cmp(edi, 2);
        g.If(When.Equal, () =>
        {
            EmitCount();
            g.Return();
        });
        a.str(eax);
        a.cmp(eax, Descriptors.FirstTask);
        g.If(When.NotEqual, () =>
        {
            a.inc(rdi);
            a.mov(Stray, rdi);
            g.Forever(_ => a.hlt());
        });
        a.mov(rax, cr2);
        a.mov(Address, rax);
        a.mov(Vector, rdi);
        foreach (var (offset, variable) in new[] { (FrameError, Error), (FrameRip, Rip), (FrameCs, Selector), (FrameFlags, Rflags), (FrameRsp, Rsp) })
        {
            a.mov(rax, __qword_ptr[rbx + offset]);
            a.mov(variable, rax);
        }

        a.lea(rax, __[rbx + FrameVector]);
        a.mov(Frame, rax);
        a.mov(eax, ss);
        a.mov(HandlerSs, rax);
        a.cmp(resume, 0);
        g.If(When.Equal, () =>
        {
            a.call(unexpected.Label);
            g.Return();
        });
        a.mov(rax, resume);
        a.mov(rcx, resumeRsp);
        a.mov(rdx, resumeFlags);
        a.mov(resume, 0);
        EmitGoTo();
    }

    /// <summary>Makes the handler return to RAX with stack RCX and flags RDX, at CPL 0.</summary>
    void EmitGoTo()
    {
        var a = g.A;
        a.mov(__qword_ptr[rbx + FrameRip], rax);
        a.mov(__qword_ptr[rbx + FrameRsp], rcx);
        a.mov(__qword_ptr[rbx + FrameFlags], rdx);
        a.mov(__qword_ptr[rbx + FrameCs], Descriptors.KernelCode);
        a.mov(__qword_ptr[rbx + FrameSs], Descriptors.KernelData);
    }

    void EmitUnexpected()
    {
        var a = g.A;
        g.Print($"         x unexpected exception {Vector}, error code {Error:x}, at {Selector:x}:{Rip:x}, stack {Rsp:x}, CR2 {Address:x}\n");
        g.Checks.CountFailure();
        a.mov(rax, g.Checks.AbortTo);
        a.test(rax, rax);
        g.If(When.Equal, () => a.jmp(g.Checks.Verdict.Label));
        a.mov(rcx, g.Checks.AbortRsp);
        a.mov(edx, 2);
        EmitGoTo();
    }
}
