using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>
/// Rates of counters by the TSC. A reading is bracketed by two of the TSC, and of several the one with the closest bracket
/// counts: the guest may be held up at any point when a host runs other programs too.
/// </summary>
internal sealed class Counters(Guest guest)
{
    const int Tries = 8;

    /// <summary>How long a rate is measured, in microseconds.</summary>
    const int Long = 20_000, Short = 2_000;

    readonly Guest g = guest;

    /// <summary>Reads a counter: address of a routine that returns it. RAX: the counter; RDX: the TSC then.</summary>
    public Routine Sample { get; } = guest.NewRoutine();

    /// <summary>Measures a counter: address of a routine that returns it, mask of its bits, not 0 if it counts down. RAX: Hz.</summary>
    public Routine Rate { get; } = guest.NewRoutine();

    /// <summary>RAX: microseconds that a measurement takes, by the command line.</summary>
    public Routine Window { get; } = guest.NewRoutine();

    /// <summary>Emits code that measures a counter; its rate in Hz is then in RAX.</summary>
    public void Measure(Routine reader, Operand mask, bool down) => g.Call(Rate, Operand.AddressOf(reader.Label), mask, down ? 1 : 0);

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(Sample, [rbx, rbp, r12, r13, r14, r15], EmitSample);
        g.Define(Rate, [rbx, rbp, r12, r13, r14], EmitRate);
        g.Define(Window, () =>
        {
            g.A.mov(eax, Long);
            g.A.cmp(g.Options.Quick, 0);
            g.If(When.NotEqual, () => g.A.mov(eax, Short));
        });
    }

    void EmitSample()
    {
        var a = g.A;
        a.mov(rbx, rdi);
        a.mov(rbp, -1L);
        a.mov(r15d, Tries);
        g.Forever(end =>
        {
            g.ReadTsc();
            a.mov(r12, rax);
            a.call(rbx);
            a.mov(r8, rax);
            g.ReadTsc();
            a.sub(rax, r12);
            a.cmp(rax, rbp);
            g.If(When.Below, () =>
            {
                a.mov(rbp, rax);
                a.shr(rax, 1);
                a.lea(r14, __[r12 + rax]);
                a.mov(r13, r8);
            });
            a.dec(r15d);
            a.je(end);
        });
        a.mov(rax, r13);
        a.mov(rdx, r14);
    }

    void EmitRate()
    {
        var a = g.A;
        a.mov(rbx, rdi);
        a.mov(rbp, rsi);
        a.mov(r12, rdx);
        g.Call(Sample, rbx);
        a.mov(r13, rax);
        a.mov(r14, rdx);
        a.call(Window.Label);
        g.Call(g.Clock.Delay, rax);
        g.Call(Sample, rbx);
        a.sub(rax, r13);
        a.test(r12, r12);
        g.If(When.NotEqual, () => a.neg(rax));
        a.and(rax, rbp);
        a.sub(rdx, r14);
        // Counts times TSC rate by TSC ticks; 128 bits in between.
        a.mov(rcx, rdx);
        a.imul(rdx, g.Clock.Kilohertz, 1000);
        a.mul(rdx);
        a.cmp(rdx, rcx);
        g.If(When.NotBelow, () =>
        {
            a.xor(eax, eax);
            g.Return();
        });
        a.div(rcx);
    }
}
