using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>Time by the TSC, whose rate is found with channel 2 of the interval timer.</summary>
internal sealed class Clock(Guest guest)
{
    /// <summary>Input clock of the interval timer in Hz.</summary>
    public const int PitHertz = 1_193_182;

    /// <summary>Ports of the interval timer, and of its gate and output.</summary>
    public const ushort PitChannel0 = 0x40, PitChannel2 = 0x42, PitCommand = 0x43, Gate = 0x61;

    const int CalibrationTicks = 2386, Patience = 5_000_000;
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

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(Calibrate, [rbx, r12], EmitCalibrate);
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

    void EmitCalibrate()
    {
        var a = g.A;
        a.mov(Kilohertz, AssumedKilohertz);
        g.Call(StartPit, CalibrationTicks);
        g.ReadTsc();
        a.mov(rbx, rax);
        a.mov(ecx, Patience);
        var over = a.CreateLabel();
        g.Forever(end =>
        {
            g.In8(Gate);
            a.test(al, 0x20);
            a.jne(over);
            a.pause();
            a.dec(ecx);
            a.je(end);
        });
        a.xor(eax, eax);
        g.Return();
        g.Place(over);
        g.ReadTsc();
        a.sub(rax, rbx);
        a.mov(ecx, PitHertz);
        a.mul(rcx);
        a.mov(rcx, CalibrationTicks * 1000L);
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
