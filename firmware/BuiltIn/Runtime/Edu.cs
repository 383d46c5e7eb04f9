using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>The educational PCI device of QEMU, 1234:11e8: found, mapped, and asked to move data.</summary>
internal sealed class Edu
{
    /// <summary>Registers.</summary>
    public const int Identity = 0, Liveness = 4, Factorial = 8, Status = 0x20, Interrupts = 0x24, Raise = 0x60, Acknowledge = 0x64;

    /// <summary>Address of the device's own buffer, and its length in bytes.</summary>
    public const int Buffer = 0x4_0000, BufferLength = 4096;

    const uint Device = 0x11E8_1234;
    const int Source = 0x80, Destination = 0x88, Count = 0x90, Command = 0x98;
    const int Run = 1, ToMemory = 2;

    /// <summary>Most microseconds that a transfer may take; QEMU's device takes 100 ms for any.</summary>
    const int Patience = 3_000_000;

    readonly Guest g;

    /// <summary>Reserves the variables.</summary>
    public Edu(Guest guest)
    {
        g = guest;
        (Function, Base) = (g.Data.U64(), g.Data.U64());
        (Find, Transfer) = (g.NewRoutine(), g.NewRoutine());
    }

    /// <summary>Its PCI function; meaningful when <see cref="Base"/> is not 0.</summary>
    public Variable Function { get; }

    /// <summary>Address of its registers, or 0 without a device.</summary>
    public Variable Base { get; }

    /// <summary>Looks for the device and makes it a bus master.</summary>
    public Routine Find { get; }

    /// <summary>
    /// Moves bytes and waits for the end: bus address, count, command bits (0 to the device, <see cref="FromDevice"/>).
    /// RAX is 1 when the device says that it is done.
    /// </summary>
    public Routine Transfer { get; }

    /// <summary>Command bit: from the device to memory.</summary>
    public static int FromDevice => ToMemory;

    /// <summary>Command bit: interrupt at the end.</summary>
    public static int WithInterrupt => 4;

    /// <summary>Emits code that loads a register of the device.</summary>
    public void Load(Iced.Intel.AssemblerRegister32 target, int register)
    {
        g.A.mov(rax, Base);
        g.A.mov(target, __dword_ptr[rax + register]);
    }

    /// <summary>Emits code that stores to a register of the device; RAX is lost.</summary>
    public void Store(int register, uint value)
    {
        g.A.mov(rax, Base);
        g.A.mov(__dword_ptr[rax + register], value);
    }

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(Find, [rbx], EmitFind);
        g.Define(Transfer, EmitTransfer);
    }

    void EmitFind()
    {
        var a = g.A;
        g.Call(g.Pci.FindDevice, Device);
        a.test(rax, rax);
        g.If(When.NotNegative, () =>
        {
            a.mov(Function, rax);
            g.Call(g.Pci.Enable, Function);
            g.Call(g.Pci.Bar, Function, 0);
            a.mov(Base, rax);
            g.Call(g.Pages.MapDevice, rax);
        });
    }

    void EmitTransfer()
    {
        var a = g.A;
        a.mov(rcx, Base);
        a.mov(eax, Buffer);
        a.test(edx, ToMemory);
        g.If(
            When.NotEqual,
            () =>
            {
                a.mov(__qword_ptr[rcx + Source], rax);
                a.mov(__qword_ptr[rcx + Destination], rdi);
            },
            () =>
            {
                a.mov(__qword_ptr[rcx + Source], rdi);
                a.mov(__qword_ptr[rcx + Destination], rax);
            });
        a.mov(__qword_ptr[rcx + Count], rsi);
        a.or(edx, Run);
        a.mov(edx, edx);
        a.mov(__qword_ptr[rcx + Command], rdx);
        g.WaitUntil(Patience, When.Equal, () =>
        {
            for (var i = 0; i < 8; i++)
            {
                a.pause();
            }

            a.mov(rax, Base);
            a.test(__dword_ptr[rax + Command], Run);
        });
        a.mov(eax, 0);
        g.If(When.NotEqual, () => a.inc(eax));
    }
}
