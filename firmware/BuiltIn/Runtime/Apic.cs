using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>Local APIC in both modes (SDM 3A §11), I/O APIC, and the 8259 pair.</summary>
internal sealed class Apic
{
    /// <summary>Local APIC registers by MMIO offset.</summary>
    public const int Id = 0x20, Version = 0x30, TaskPriority = 0x80, Eoi = 0xB0, Spurious = 0xF0, InService = 0x100, Request = 0x200, ErrorStatus = 0x280, CommandLow = 0x300, CommandHigh = 0x310, LvtTimer = 0x320, LvtLint0 = 0x350, LvtLint1 = 0x360, LvtError = 0x370, InitialCount = 0x380, CurrentCount = 0x390, Divide = 0x3E0;

    /// <summary>LVT and command bits.</summary>
    public const uint Masked = 1 << 16, Periodic = 1 << 17, Deadline = 1 << 18, ExtInt = 0x700, Nmi = 0x400, Init = 0x500, StartUp = 0x600, Assert = 1 << 14, ToSelf = 1 << 18, ToOthers = 3 << 18;

    /// <summary>MSRs.</summary>
    public const uint BaseMsr = 0x1B, TimerDeadlineMsr = 0x6E0, X2Msr = 0x800, X2Command = 0x830;

    /// <summary>First vector of the 8259 pair.</summary>
    public const byte PicVector = 0x20;

    /// <summary>The spurious-interrupt vector.</summary>
    public const byte SpuriousVector = 0xFF;

    /// <summary>Ports of the 8259 pair.</summary>
    public const ushort Pic1 = 0x20, Pic2 = 0xA0;

    const uint DefaultIoApic = 0xFEC0_0000;
    const int Pending = 1 << 12, DeliveryPatience = 1_000_000;

    readonly Guest g;

    /// <summary>Reserves the variables.</summary>
    public Apic(Guest guest)
    {
        g = guest;
        (Base, IoBase) = (g.Data.U64(), g.Data.Initial(DefaultIoApic));
        (Read, Write, Send, Start, EndOfInterrupt) = (g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine());
        (IoRead, IoWrite, Route, StartPic, Own, ReadTimer) = (g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine());
    }

    /// <summary>Address of the local APIC's registers.</summary>
    public Variable Base { get; }

    /// <summary>Address of the I/O APIC.</summary>
    public Variable IoBase { get; }

    /// <summary>Reads a local APIC register: offset.</summary>
    public Routine Read { get; }

    /// <summary>Writes a local APIC register: offset, value.</summary>
    public Routine Write { get; }

    /// <summary>Sends an interprocessor interrupt: APIC ID, low word of the command. RAX is 1 when it was accepted.</summary>
    public Routine Send { get; }

    /// <summary>Enables the local APIC with everything masked.</summary>
    public Routine Start { get; }

    /// <summary>Acknowledges an interrupt: vector.</summary>
    public Routine EndOfInterrupt { get; }

    /// <summary>Reads an I/O APIC register: index.</summary>
    public Routine IoRead { get; }

    /// <summary>Writes an I/O APIC register: index, value.</summary>
    public Routine IoWrite { get; }

    /// <summary>Sets a redirection entry: input, low word, high word.</summary>
    public Routine Route { get; }

    /// <summary>Puts the 8259 pair at <see cref="PicVector"/> with everything masked.</summary>
    public Routine StartPic { get; }

    /// <summary>The timer's current count.</summary>
    public Routine ReadTimer { get; }

    /// <summary>The APIC ID of the processor that calls.</summary>
    public Routine Own { get; }

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        var a = g.A;
        g.Define(Read, EmitRead);
        g.Define(Write, EmitWrite);
        g.Define(Send, EmitSend);
        g.Define(Start, EmitStart);
        g.Define(EndOfInterrupt, EmitEndOfInterrupt);
        g.Define(IoRead, () =>
        {
            a.mov(rax, IoBase);
            a.mov(__dword_ptr[rax], edi);
            a.mov(eax, __dword_ptr[rax + 0x10]);
        });
        g.Define(IoWrite, () =>
        {
            a.mov(rax, IoBase);
            a.mov(__dword_ptr[rax], edi);
            a.mov(__dword_ptr[rax + 0x10], esi);
        });
        g.Define(Route, [rbx, r12], EmitRoute);
        g.Define(StartPic, EmitStartPic);
        g.Define(ReadTimer, () => g.Call(Read, CurrentCount));
        g.Define(Own, () =>
        {
            g.Call(Read, Id);
            a.mov(r8d, eax);
            InX2Mode();
            a.mov(eax, r8d);
            g.If(When.NotBelow, () => a.shr(eax, 24));
        });
    }

    /// <summary>Checks that the count of a vector reaches a number within some microseconds of enabled interrupts.</summary>
    public void Within(int microseconds, byte vector, Operand count, string what)
    {
        g.A.sti();
        g.Checks.Within(microseconds, When.NotAbove, what, () =>
        {
            g.Load(rcx, count);
            g.A.cmp(ecx, g.Faults.Counts[vector]);
        });
        g.A.cli();
    }

    /// <summary>Lets interrupts in for some microseconds.</summary>
    public void Listen(Operand microseconds)
    {
        g.Load(rdi, microseconds);
        g.A.sti();
        g.A.call(g.Clock.Delay.Label);
        g.A.cli();
    }

    /// <summary>Sets CF if this processor's APIC is in x2APIC mode; RAX, RCX and RDX are lost.</summary>
    void InX2Mode()
    {
        g.ReadMsr(BaseMsr);
        g.A.bt(eax, 10);
    }

    void EmitRead()
    {
        var a = g.A;
        InX2Mode();
        g.If(
            When.NotBelow,
            () =>
            {
                a.mov(rax, Base);
                a.mov(eax, __dword_ptr[rax + rdi]);
            },
            () =>
            {
                a.mov(ecx, edi);
                a.shr(ecx, 4);
                a.add(ecx, X2Msr);
                a.rdmsr();
            });
    }

    void EmitWrite()
    {
        var a = g.A;
        InX2Mode();
        g.If(
            When.NotBelow,
            () =>
            {
                a.mov(rax, Base);
                a.mov(__dword_ptr[rax + rdi], esi);
            },
            () =>
            {
                a.mov(ecx, edi);
                a.shr(ecx, 4);
                a.add(ecx, X2Msr);
                a.mov(eax, esi);
                a.xor(edx, edx);
                a.wrmsr();
            });
    }

    void EmitSend()
    {
        var a = g.A;
        InX2Mode();
        g.If(When.Below, () =>
        {
            a.mov(ecx, X2Command);
            a.mov(edx, edi);
            a.mov(eax, esi);
            a.wrmsr();
            a.mov(eax, 1);
            g.Return();
        });
        a.mov(rdx, Base);
        a.shl(edi, 24);
        a.mov(__dword_ptr[rdx + CommandHigh], edi);
        a.mov(__dword_ptr[rdx + CommandLow], esi);
        a.mov(ecx, DeliveryPatience);
        g.Forever(end =>
        {
            a.mov(eax, 1);
            a.test(__dword_ptr[rdx + CommandLow], Pending);
            a.je(end);
            a.pause();
            a.xor(eax, eax);
            a.dec(ecx);
            a.je(end);
        });
    }

    void EmitStart()
    {
        var a = g.A;
        g.ReadMsr(BaseMsr);
        a.bts(rax, 11);
        g.WriteMsr(BaseMsr);
        a.mov(rdx, 0x000F_FFFF_FFFF_F000L);
        a.mov(eax, eax);
        a.and(rax, rdx);
        a.mov(Base, rax);
        g.Call(Write, Spurious, 0x100 | SpuriousVector);
        g.Call(Write, TaskPriority, 0);
        foreach (var entry in new[] { LvtTimer, LvtLint0, LvtLint1, LvtError })
        {
            g.Call(Write, entry, Masked);
        }

        g.Call(Write, InitialCount, 0);
    }

    void EmitEndOfInterrupt()
    {
        var a = g.A;
        a.cmp(edi, SpuriousVector);
        g.If(When.Equal, g.Return);
        a.lea(eax, __[rdi - PicVector]);
        a.cmp(eax, 16);
        g.If(
            When.NotBelow,
            () => g.Call(Write, Eoi, 0),
            () =>
            {
                a.cmp(eax, 8);
                g.If(When.NotBelow, () => g.Out8(Pic2, 0x20));
                g.Out8(Pic1, 0x20);
            });
    }

    void EmitRoute()
    {
        var a = g.A;
        a.lea(ebx, __[rdi * 2 + 0x10]);
        a.mov(r12d, esi);
        a.lea(rdi, __[rbx + 1]);
        a.mov(esi, edx);
        a.call(IoWrite.Label);
        g.Call(IoWrite, rbx, r12);
    }

    void EmitStartPic()
    {
        g.Out8(Pic1, 0x11);
        g.Out8(Pic2, 0x11);
        g.Out8(Pic1 + 1, PicVector);
        g.Out8(Pic2 + 1, PicVector + 8);
        g.Out8(Pic1 + 1, 4);
        g.Out8(Pic2 + 1, 2);
        g.Out8(Pic1 + 1, 1);
        g.Out8(Pic2 + 1, 1);
        g.Out8(Pic1 + 1, 0xFF);
        g.Out8(Pic2 + 1, 0xFF);
    }
}
