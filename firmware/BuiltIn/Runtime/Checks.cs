using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>Counts what is checked, prints a line per test, and gives the verdict.</summary>
internal sealed class Checks
{
    const int NameColumn = 12;
    const ushort DebugExit = 0xF4;

    static readonly AssemblerRegister64[] Preserved = [rbx, rbp, r12, r13, r14, r15];

    readonly Guest g;
    readonly List<Routine> tests = [];
    readonly Variable total, failed, ofTest, failedOfTest, skipReason;
    readonly Routine equal, between, begin, finish, close;
    Label end;

    /// <summary>Reserves the variables.</summary>
    public Checks(Guest guest)
    {
        g = guest;
        (total, failed, ofTest, failedOfTest, skipReason) = (g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64());
        (AbortTo, AbortRsp, OnTcg) = (g.Data.U64(), g.Data.U64(), g.Data.U64());
        (equal, between, begin, finish, close) = (g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine());
        Verdict = g.NewRoutine();
    }

    /// <summary>Where a test that cannot go on ends, or 0 outside tests.</summary>
    public Variable AbortTo { get; }

    /// <summary>The stack there.</summary>
    public Variable AbortRsp { get; }

    /// <summary>Not 0: the processor is QEMU's software processor.</summary>
    public Variable OnTcg { get; }

    /// <summary>Prints the verdict and ends the run; does not return.</summary>
    public Routine Verdict { get; }

    /// <summary>Emits a test. Tests run in the order in which they are emitted.</summary>
    /// <param name="name">Name for the first column.</param>
    /// <param name="summary">Printed when all went well.</param>
    /// <param name="body">The test.</param>
    public void Test(string name, GuestText summary, Action body) => Test(name, () => g.Print(summary), body);

    /// <summary>Emits a test.</summary>
    /// <param name="name">Name for the first column.</param>
    /// <param name="summary">Code that prints what was shown, without line end.</param>
    /// <param name="body">The test.</param>
    public void Test(string name, Action summary, Action body)
    {
        var a = g.A;
        var test = g.NewRoutine();
        tests.Add(test);
        g.Define(test, Preserved, () =>
        {
            end = a.CreateLabel();
            a.lea(rax, __[end]);
            a.mov(AbortTo, rax);
            a.mov(AbortRsp, rsp);
            a.call(begin.Label);
            body();
            g.Place(end);
            a.cli();
            g.Call(finish, name + ':');
            a.test(eax, eax);
            g.If(When.NotEqual, () =>
            {
                summary();
                a.call(close.Label);
            });
        });
    }

    /// <summary>Leaves the test being emitted: it could not be made, for a reason.</summary>
    public void Skip(string reason)
    {
        g.A.mov(skipReason, (int)g.Data.Text(reason));
        g.A.jmp(end);
    }

    /// <summary>The same, but a failure when the command line asks for the DMA path.</summary>
    public void SkipUnlessRequired(string reason)
    {
        g.A.cmp(g.Options.RequireDma, 0);
        g.If(When.NotEqual, () =>
        {
            CountFailure();
            g.Print($"         x {(Operand)reason:s}\n");
            g.A.jmp(end);
        });
        Skip(reason);
    }

    /// <summary>Leaves the test being emitted, after a failure.</summary>
    public void Leave() => g.A.jmp(end);

    /// <summary>Checks that two values are equal.</summary>
    public void Equal(Operand actual, Operand expected, string what) => g.Call(equal, actual, expected, what);

    /// <summary>Checks that a value lies between two others, both included.</summary>
    public void Between(Operand actual, Operand low, Operand high, string what) => g.Call(between, actual, low, high, what);

    /// <summary>Checks that RDI lies between RSI and RDX, both included.</summary>
    public void BetweenLoaded(string what)
    {
        g.Load(rcx, what);
        g.A.call(between.Label);
    }

    /// <summary>Checks that the flags say so.</summary>
    public void True(When when, string what)
    {
        var test = g.A.CreateLabel();
        g.A.mov(edi, 1);
        g.Jump(when, test);
        g.A.mov(edi, 0);
        g.Place(test);
        Equal(rdi, 1, what);
    }

    /// <summary>Checks that something happens within some microseconds: see <see cref="Guest.WaitUntil"/>.</summary>
    public void Within(int microseconds, When when, string what, Action setFlags)
    {
        g.WaitUntil(microseconds, when, setFlags);
        True(When.NotEqual, what);
    }

    /// <summary>Makes a check unless the processor is QEMU's software processor, which is known to differ from hardware there.</summary>
    public void ExceptOnTcg(Action check)
    {
        g.A.cmp(OnTcg, 0);
        g.If(When.Equal, check);
    }

    /// <summary>Counts a failure that was reported already.</summary>
    public void CountFailure()
    {
        g.A.inc(total);
        g.A.inc(ofTest);
        g.A.inc(failed);
        g.A.inc(failedOfTest);
    }

    /// <summary>Emits calls of all tests.</summary>
    public void RunAll()
    {
        g.A.mov(eax, 0x4000_0000);
        g.A.cpuid();
        g.A.cmp(ebx, AcpiReader.Signature("TCGT"));
        g.If(When.Equal, () => g.A.mov(OnTcg, 1));
        foreach (var test in tests)
        {
            g.A.call(test.Label);
        }

        g.A.mov(AbortTo, 0);
        g.A.jmp(Verdict.Label);
    }

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(begin, EmitBegin);
        g.Define(equal, [rbx, r12, r13], EmitEqual);
        g.Define(between, [rbx, rbp, r12, r13], EmitBetween);
        g.Define(finish, [rbx], EmitFinish);
        g.Define(close, () => EmitCount(ofTest));
        Verdict.Place(g.A);
        EmitVerdict();
    }

    void EmitBegin()
    {
        var a = g.A;
        a.xor(eax, eax);
        a.mov(ofTest, rax);
        a.mov(failedOfTest, rax);
        a.mov(skipReason, rax);
    }

    void EmitEqual()
    {
        var a = g.A;
        a.cmp(rdi, rsi);
        g.If(When.NotEqual, () =>
        {
            a.mov(rbx, rdi);
            a.mov(r12, rsi);
            a.mov(r13, rdx);
            CountFailure();
            g.Print($"         x {r13:s}: 0x{rbx:x}, expected 0x{r12:x}\n");
            g.Return();
        });
        EmitPassed();
    }

    void EmitBetween()
    {
        var a = g.A;
        var bad = a.CreateLabel();
        a.mov(rbx, rdi);
        a.mov(r12, rsi);
        a.mov(rbp, rdx);
        a.mov(r13, rcx);
        a.cmp(rbx, r12);
        a.jb(bad);
        a.cmp(rbx, rbp);
        g.If(When.NotAbove, () =>
        {
            EmitPassed();
            g.Return();
        });
        g.Place(bad);
        CountFailure();
        g.Print($"         x {r13:s}: {rbx}, expected {r12} to {rbp}\n");
    }

    void EmitPassed()
    {
        g.A.inc(total);
        g.A.inc(ofTest);
    }

    /// <summary>Starts the line of a test that ends; EAX is 1 when its summary is to follow.</summary>
    void EmitFinish()
    {
        var a = g.A;
        a.mov(rbx, rdi);
        a.cmp(failedOfTest, 0);
        g.If(When.NotEqual, () =>
        {
            g.Print($"[FAIL] ");
            g.Call(g.Console.PutColumn, rbx, NameColumn);
            g.Print($"{failedOfTest} of {ofTest} checks failed\n");
            a.xor(eax, eax);
            g.Return();
        });
        a.cmp(skipReason, 0);
        g.If(When.NotEqual, () =>
        {
            g.Print($"[skip] ");
            g.Call(g.Console.PutColumn, rbx, NameColumn);
            g.Print($"{skipReason:s}\n");
            a.xor(eax, eax);
            g.Return();
        });
        g.Print($"[ ok ] ");
        g.Call(g.Console.PutColumn, rbx, NameColumn);
        a.mov(eax, 1);
    }

    void EmitCount(Variable count)
    {
        g.Print($" ({count} check");
        g.A.cmp(count, 1);
        g.If(When.NotEqual, () => g.Call(g.Console.PutCharacter, 's'));
        g.Print($")\n");
    }

    /// <summary>Last line, then the ways to end a run, the surest first.</summary>
    void EmitVerdict()
    {
        var a = g.A;
        a.cli();
        a.cmp(failed, 0);
        g.If(
            When.Equal,
            () => g.Print($"PASS {total} checks, 0 failed\n"),
            () => g.Print($"FAIL {failed} of {total} checks failed\n"));
        a.call(g.Console.Drain.Label);
        a.xor(eax, eax);
        a.cmp(failed, 0);
        g.If(When.NotEqual, () => a.inc(eax));
        a.mov(edx, (uint)DebugExit);
        a.@out(dx, eax);
        a.call(g.Power.Off.Label);
        g.Forever(_ =>
        {
            a.cli();
            a.hlt();
        });
    }
}
