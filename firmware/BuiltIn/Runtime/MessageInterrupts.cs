using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>MSI (PCI 3.0 §6.8.1) and MSI-X (§6.8.2) of a function: one message at a time.</summary>
internal sealed class MessageInterrupts(Guest guest)
{
    /// <summary>Address of messages, SDM 3A §11.11.1.</summary>
    public const uint Address = 0xFEE0_0000;

    const int MsiCapability = 5, MsiXCapability = 0x11;

    readonly Guest g = guest;

    /// <summary>Sets the only message of a function and enables it: function, address, data. RAX is 0 without the capability.</summary>
    public Routine SetMsi { get; } = guest.NewRoutine();

    /// <summary>Sets message 0 of a function and enables MSI-X: function, address, data. RAX is 0 without the capability.</summary>
    public Routine SetMsiX { get; } = guest.NewRoutine();

    /// <summary>RAX: address of an edge-triggered message to this processor.</summary>
    public Routine OwnAddress { get; } = guest.NewRoutine();

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(OwnAddress, () =>
        {
            g.A.call(g.Apic.Own.Label);
            g.A.shl(eax, 12);
            g.A.or(eax, Address);
        });
        g.Define(SetMsi, [rbx, rbp, r12, r13, r14], EmitSetMsi);
        g.Define(SetMsiX, [rbx, rbp, r12, r13, r14], EmitSetMsiX);
    }

    /// <summary>RBX is then the function, R12 the address, R13 the data, RBP the offset of the capability; leaves without one.</summary>
    void Begin(int capability)
    {
        var a = g.A;
        a.mov(rbx, rdi);
        a.mov(r12, rsi);
        a.mov(r13, rdx);
        g.Call(g.Pci.Capability, rbx, capability);
        a.mov(rbp, rax);
        a.test(rax, rax);
        g.If(When.Equal, g.Return);
    }

    void Write(int offset, Operand value)
    {
        g.A.lea(rsi, __[rbp + offset]);
        g.A.mov(rdi, rbx);
        g.Load(rdx, value);
        g.A.call(g.Pci.Write.Label);
    }

    void EmitSetMsi()
    {
        var a = g.A;
        Begin(MsiCapability);
        Write(4, r12);
        g.Call(g.Pci.Read, rbx, rbp);
        a.mov(r14d, eax);
        a.bt(r14d, 23);
        g.If(
            When.Below,
            () =>
            {
                Write(8, 0);
                Write(12, r13);
            },
            () => Write(8, r13));
        // One message, enabled.
        a.and(r14d, ~(7 << 20));
        a.bts(r14d, 16);
        Write(0, r14);
        a.mov(eax, 1);
    }

    void EmitSetMsiX()
    {
        var a = g.A;
        Begin(MsiXCapability);
        a.lea(rsi, __[rbp + 4]);
        a.mov(rdi, rbx);
        a.call(g.Pci.Read.Label);
        a.mov(r14d, eax);
        a.mov(esi, eax);
        a.and(esi, 7);
        a.mov(rdi, rbx);
        a.call(g.Pci.Bar.Label);
        a.and(r14d, ~7);
        a.add(r14, rax);
        g.Call(g.Pages.MapDevice, r14);
        a.mov(__dword_ptr[r14], r12d);
        a.mov(__dword_ptr[r14 + 4], 0);
        a.mov(__dword_ptr[r14 + 8], r13d);
        a.mov(__dword_ptr[r14 + 12], 0);
        g.Call(g.Pci.Read, rbx, rbp);
        a.and(eax, ~(1 << 30));
        a.bts(eax, 31);
        a.mov(r14d, eax);
        Write(0, r14);
        a.mov(eax, 1);
    }
}
