using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>Time by the TSC, whose rate is found with channel 2 of the interval timer.</summary>
internal sealed class Clock(Guest guest)
{
    /// <summary>Input clock of the interval timer in Hz.</summary>
    public const int PitHertz = 1_193_182;

    /// <summary>Ports of the interval timer, and of its gate and output.</summary>
    public const ushort PitChannel0 = 0x40, PitChannel2 = 0x42, PitCommand = 0x43, Gate = 0x61;

    const int CalibrationTicks = 2386, Patience = 1_000_000, PausesPerLook = 16;
    const int AssumedKilohertz = 1_000_000;

    readonly Guest g = guest;

    /// <summary>TSC ticks per millisecond.</summary>
    public Variable Kilohertz { get; } = guest.Data.U64();

    /// <summary>Finds the rate of the TSC. RAX: 1 if the interval timer answered, else a rate is assumed.</summary>
    public Routine Calibrate { get; } = guest.NewRoutine();

    /// <summary>TSC value some microseconds from now: microseconds.</summary>
    public Routine Deadline { get; } = guest.NewRoutine();

    /// <summary>Waits, busy: microseconds.</summary>
    public Routine Delay { get; } = guest.NewRoutine();

    /// <summary>Starts channel 2 counting down once: ticks.</summary>
    public Routine StartPit { get; } = guest.NewRoutine();

    /// <summary>Reads channel 2 of the interval timer, which counts down in 16 bits.</summary>
    public Routine ReadPit { get; } = guest.NewRoutine();

    /// <summary>Checks that a number differs from another by at most one part of some.</summary>
    public void CheckNear(Operand actual, Operand expected, int part, string what)
    {
        var a = g.A;
        g.Load(rsi, expected);
        a.mov(rax, rsi);
        a.xor(edx, edx);
        a.mov(ecx, part);
        a.div(rcx);
        a.lea(rdx, __[rsi + rax]);
        a.sub(rsi, rax);
        g.Load(rdi, actual);
        g.Checks.BetweenLoaded(what);
    }

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(ReadPit, EmitReadPit);
        g.Define(Calibrate, [rbx, r12, r13], EmitCalibrate);
        g.Define(StartPit, EmitStartPit);
        g.Define(Deadline, EmitDeadline);
        g.Define(Delay, EmitDelay);
    }

    void EmitStartPit()
    {
        var a = g.A;
        g.In8(Gate);
        a.and(al, 0xFC);
        a.@out(dx, al);
        g.Out8(PitCommand, 0xB0);
        a.mov(eax, edi);
        g.Out8(PitChannel2);
        a.mov(al, ah);
        a.@out(dx, al);
        g.In8(Gate);
        a.or(al, 1);
        a.@out(dx, al);
    }

    void EmitReadPit()
    {
        var a = g.A;
        g.Out8(PitCommand, 0x80);
        g.In8(PitChannel2);
        a.movzx(ecx, al);
        a.@in(al, dx);
        a.movzx(eax, al);
        a.shl(eax, 8);
        a.or(eax, ecx);
    }

    void EmitCalibrate()
    {
        var a = g.A;
        var enough = a.CreateLabel();
        a.mov(Kilohertz, AssumedKilohertz);
        g.Call(StartPit, 0xFFFF);
        g.Call(g.Counters.Sample, Operand.AddressOf(ReadPit.Label));
        a.mov(rbx, rax);
        a.mov(r12, rdx);
        a.mov(r13d, Patience);
        g.Forever(end =>
        {
            a.call(ReadPit.Label);
            a.mov(ecx, ebx);
            a.sub(ecx, eax);
            a.movzx(ecx, cx);
            a.cmp(ecx, CalibrationTicks);
            a.jae(enough);
            for (var i = 0; i < PausesPerLook; i++)
            {
                a.pause();
            }

            a.dec(r13d);
            a.je(end);
        });
        a.xor(eax, eax);
        g.Return();
        g.Place(enough);
        g.Call(g.Counters.Sample, Operand.AddressOf(ReadPit.Label));
        a.sub(ebx, eax);
        a.movzx(ebx, bx);
        a.mov(rax, rdx);
        a.sub(rax, r12);
        a.mov(ecx, PitHertz);
        a.mul(rcx);
        a.imul(rcx, rbx, 1000);
        a.div(rcx);
        a.mov(Kilohertz, rax);
        a.mov(eax, 1);
    }

    void EmitDeadline()
    {
        var a = g.A;
        a.mov(rax, Kilohertz);
        a.mul(rdi);
        a.mov(ecx, 1000);
        a.div(rcx);
        a.mov(rcx, rax);
        g.ReadTsc();
        a.add(rax, rcx);
    }

    void EmitDelay()
    {
        var a = g.A;
        a.call(Deadline.Label);
        a.mov(rcx, rax);
        a.mov(esi, 1_000_000_000);
        g.Forever(end =>
        {
            g.ReadTsc();
            a.cmp(rax, rcx);
            a.jae(end);
            a.pause();
            a.dec(esi);
            a.je(end);
        });
    }
}
