using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn;

/// <summary>Condition of a jump, by its number in the opcode (SDM 2A appendix B).</summary>
internal enum When
{
    /// <summary>CF = 1.</summary>
    Below = 2,

    /// <summary>CF = 0.</summary>
    NotBelow = 3,

    /// <summary>ZF = 1.</summary>
    Equal = 4,

    /// <summary>ZF = 0.</summary>
    NotEqual = 5,

    /// <summary>CF = 1 or ZF = 1.</summary>
    NotAbove = 6,

    /// <summary>CF = 0 and ZF = 0.</summary>
    Above = 7,

    /// <summary>SF = 1.</summary>
    Negative = 8,

    /// <summary>SF = 0.</summary>
    NotNegative = 9,
}

/// <content>Control flow.</content>
internal sealed partial class Guest
{
    /// <summary>Loop iterations after which a wait ends even if time stands still.</summary>
    const int WaitLimit = 200_000_000;

    /// <summary>Puts a label here.</summary>
    public void Place(Label label)
    {
        A.Label(ref label);
        A.zero_bytes();
    }

    /// <summary>Jumps when the flags say so.</summary>
    public void Jump(When when, Label target)
    {
        switch (when)
        {
            case When.Below:
                A.jb(target);
                break;
            case When.NotBelow:
                A.jae(target);
                break;
            case When.Equal:
                A.je(target);
                break;
            case When.NotEqual:
                A.jne(target);
                break;
            case When.NotAbove:
                A.jbe(target);
                break;
            case When.Above:
                A.ja(target);
                break;
            case When.Negative:
                A.js(target);
                break;
            default:
                A.jns(target);
                break;
        }
    }

    static When Not(When when) => (When)((int)when ^ 1);

    /// <summary>Runs one of two pieces of code, by the flags.</summary>
    public void If(When when, Action then, Action? otherwise = null)
    {
        var (not, end) = (A.CreateLabel(), A.CreateLabel());
        Jump(Not(when), not);
        then();
        if (otherwise != null)
        {
            A.jmp(end);
        }

        Place(not);
        otherwise?.Invoke();
        Place(end);
    }

    /// <summary>Repeats code; <paramref name="body"/> is given the label that ends the loop.</summary>
    public void Forever(Action<Label> body)
    {
        var (top, end) = (A.CreateLabel(), A.CreateLabel());
        Place(top);
        body(end);
        A.jmp(top);
        Place(end);
    }

    /// <summary>Runs code with <paramref name="index"/> from 0 to <paramref name="count"/> - 1; the body must keep the index.</summary>
    public void For(AssemblerRegister64 index, Operand count, Action body)
    {
        var (top, test) = (A.CreateLabel(), A.CreateLabel());
        A.xor(Low(index), Low(index));
        A.jmp(test);
        Place(top);
        body();
        A.inc(index);
        Place(test);
        Load(rax, count);
        A.cmp(index, rax);
        A.jb(top);
    }

    /// <summary>
    /// Waits until code that sets flags makes them say so, but not longer than some microseconds. ZF is then 0 if it
    /// happened and 1 if time ran out. RAX and RDX are lost.
    /// </summary>
    public void WaitUntil(int microseconds, When when, Action setFlags)
    {
        var (top, last, done, leave) = (A.CreateLabel(), A.CreateLabel(), A.CreateLabel(), A.CreateLabel());
        Call(Clock.Deadline, microseconds);
        A.push(rax);
        A.push(WaitLimit);
        Place(top);
        setFlags();
        Jump(when, done);
        A.pause();
        ReadTsc();
        A.cmp(rax, __qword_ptr[rsp + 8]);
        A.jae(last);
        A.dec(__dword_ptr[rsp]);
        A.jne(top);
        Place(last);
        // Once more: the processor may have been away between the look at the condition and the look at the clock.
        setFlags();
        Jump(when, done);
        A.xor(eax, eax);
        A.jmp(leave);
        Place(done);
        A.or(eax, 1);
        Place(leave);
        A.lea(rsp, __[rsp + 16]);
    }

    /// <summary>Reads a port into AL.</summary>
    public void In8(ushort port)
    {
        A.mov(edx, (uint)port);
        A.@in(al, dx);
    }

    /// <summary>Writes AL to a port.</summary>
    public void Out8(ushort port)
    {
        A.mov(edx, (uint)port);
        A.@out(dx, al);
    }

    /// <summary>Writes a byte to a port.</summary>
    public void Out8(ushort port, byte value)
    {
        A.mov(eax, (uint)value);
        Out8(port);
    }

    /// <summary>RDTSC into RAX; RDX is lost.</summary>
    public void ReadTsc()
    {
        A.rdtsc();
        A.shl(rdx, 32);
        A.or(rax, rdx);
    }

    /// <summary>RDMSR into RAX; RCX and RDX are lost.</summary>
    public void ReadMsr(uint msr)
    {
        A.mov(ecx, msr);
        A.rdmsr();
        A.shl(rdx, 32);
        A.or(rax, rdx);
    }

    /// <summary>WRMSR of RAX; RCX and RDX are lost.</summary>
    public void WriteMsr(uint msr)
    {
        A.mov(ecx, msr);
        A.mov(rdx, rax);
        A.shr(rdx, 32);
        A.wrmsr();
    }
}
