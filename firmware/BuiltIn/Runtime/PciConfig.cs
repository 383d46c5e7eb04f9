using Iced.Intel;
using Vmm.Specs.Pci;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>PCI configuration space, by ports (PCI 3.0 §3.2.2.3.2) and by ECAM (PCIe 4.0 §7.2.2). A function is named by bus * 256 + device * 8 + function.</summary>
internal sealed class PciConfig
{
    /// <summary>Most functions that are noted.</summary>
    public const int MostFunctions = 64;

    /// <summary>Value of a search that found nothing.</summary>
    public const int None = -1;

    const ushort AddressPort = 0xCF8, DataPort = 0xCFC;
    const int LongestCapabilityList = 48;

    readonly Guest g;
    readonly Variable lastBus;

    /// <summary>Reserves the variables.</summary>
    public PciConfig(Guest guest)
    {
        g = guest;
        (Count, lastBus, Functions) = (g.Data.U64(), g.Data.U64(), g.Data.Zeroed(MostFunctions * 4, 4));
        (Read, Write, ReadEcam, Scan, FindDevice) = (g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine());
        (FindClass, Bar, Capability, Enable) = (g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine());
    }

    /// <summary>Functions found.</summary>
    public Variable Count { get; }

    /// <summary>Their names.</summary>
    public Variable Functions { get; }

    /// <summary>Reads 32 bits by ports: function, register.</summary>
    public Routine Read { get; }

    /// <summary>Writes 32 bits by ports: function, register, value.</summary>
    public Routine Write { get; }

    /// <summary>Reads 32 bits by ECAM: function, register.</summary>
    public Routine ReadEcam { get; }

    /// <summary>Finds all functions, on bus 0 and behind bridges.</summary>
    public Routine Scan { get; }

    /// <summary>A function by vendor and device ID (device in the upper half), or <see cref="None"/>.</summary>
    public Routine FindDevice { get; }

    /// <summary>A function by its 24-bit class code, or <see cref="None"/>.</summary>
    public Routine FindClass { get; }

    /// <summary>The address in a memory BAR: function, number of the BAR.</summary>
    public Routine Bar { get; }

    /// <summary>Offset of a capability, or 0: function, ID.</summary>
    public Routine Capability { get; }

    /// <summary>Enables memory decoding and bus mastering: function.</summary>
    public Routine Enable { get; }

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(Read, () =>
        {
            Address();
            g.A.mov(edx, (uint)DataPort);
            g.A.@in(eax, dx);
        });
        g.Define(Write, [rbx], () =>
        {
            g.A.mov(ebx, edx);
            Address();
            g.A.mov(eax, ebx);
            g.A.mov(edx, (uint)DataPort);
            g.A.@out(dx, eax);
        });
        g.Define(ReadEcam, EmitReadEcam);
        g.Define(Scan, [rbx, r12, r13], EmitScan);
        g.Define(FindDevice, [rbx, r12], () => EmitFind(PciHeader.VendorId, 0));
        g.Define(FindClass, [rbx, r12], () => EmitFind(PciHeader.RevisionClass, 8));
        g.Define(Bar, [rbx, r12, r13], EmitBar);
        g.Define(Capability, [rbx, r12, r13, r14], EmitCapability);
        g.Define(Enable, [rbx], () =>
        {
            g.A.mov(rbx, rdi);
            g.Call(Read, rbx, PciHeader.Command);
            g.A.movzx(edx, ax);
            g.A.or(edx, 0x406);
            g.Call(Write, rbx, PciHeader.Command, rdx);
        });
    }

    void Address()
    {
        var a = g.A;
        a.mov(eax, edi);
        a.shl(eax, 8);
        a.or(eax, esi);
        a.and(eax, ~3);
        a.or(eax, 0x8000_0000);
        a.mov(edx, (uint)AddressPort);
        a.@out(dx, eax);
    }

    void EmitReadEcam()
    {
        var a = g.A;
        a.shl(rdi, 12);
        a.add(rdi, g.Acpi.Ecam);
        a.mov(eax, __dword_ptr[rdi + rsi]);
    }

    void EmitScan()
    {
        var a = g.A;
        a.xor(ebx, ebx);
        g.Forever(end =>
        {
            var next = a.CreateLabel();
            a.mov(eax, ebx);
            a.shr(eax, 8);
            a.cmp(rax, lastBus);
            a.ja(end);
            g.Call(Read, rbx, PciHeader.VendorId);
            a.cmp(ax, unchecked((ushort)-1));
            g.If(When.Equal, () =>
            {
                // Without function 0 there is no device.
                a.test(bl, 7);
                a.jne(next);
                a.add(ebx, 7);
                a.jmp(next);
            });
            a.mov(rcx, Count);
            a.cmp(ecx, MostFunctions);
            a.jae(end);
            a.mov(Functions.At(rcx), ebx);
            a.inc(Count);
            g.Call(Read, rbx, PciHeader.CacheLineSize);
            a.shr(eax, 16);
            a.mov(r12d, eax);
            a.and(eax, 0x7F);
            a.cmp(eax, 1);
            g.If(When.Equal, () =>
            {
                g.Call(Read, rbx, 0x18);
                a.shr(eax, 16);
                a.movzx(eax, al);
                a.cmp(rax, lastBus);
                g.If(When.Above, () => a.mov(lastBus, rax));
            });
            a.test(bl, 7);
            a.jne(next);
            a.test(r12b, 0x80);
            a.jne(next);
            a.add(ebx, 7);
            g.Place(next);
            a.inc(ebx);
        });
    }

    /// <summary>Looks for a function whose register, shifted, is RDI.</summary>
    void EmitFind(int register, byte shift)
    {
        var a = g.A;
        a.mov(rbx, rdi);
        g.For(r12, Count, () =>
        {
            a.mov(edi, Functions.At(r12));
            g.Call(Read, rdi, register);
            if (shift != 0)
            {
                a.shr(eax, shift);
            }

            a.cmp(eax, ebx);
            g.If(When.Equal, () =>
            {
                a.mov(eax, Functions.At(r12));
                g.Return();
            });
        });
        a.mov(rax, None);
    }

    void EmitBar()
    {
        var a = g.A;
        a.mov(rbx, rdi);
        a.lea(r12, __[rsi * 4 + PciHeader.Bar0]);
        g.Call(Read, rbx, r12);
        a.mov(r13d, eax);
        a.and(eax, 6);
        a.cmp(eax, 4);
        g.If(When.Equal, () =>
        {
            a.lea(rsi, __[r12 + 4]);
            a.mov(rdi, rbx);
            a.call(Read.Label);
            a.shl(rax, 32);
            a.or(r13, rax);
        });
        a.mov(rax, r13);
        a.and(rax, ~0xF);
    }

    void EmitCapability()
    {
        var a = g.A;
        a.mov(rbx, rdi);
        a.mov(r12, rsi);
        a.mov(r14d, LongestCapabilityList);
        g.Call(Read, rbx, PciHeader.CapabilitiesPointer);
        g.Forever(end =>
        {
            a.movzx(r13d, al);
            a.and(r13d, 0xFC);
            a.je(end);
            g.Call(Read, rbx, r13);
            a.cmp(al, r12b);
            a.je(end);
            a.shr(eax, 8);
            a.dec(r14d);
            a.jne(a.@F);
            a.xor(r13d, r13d);
            a.jmp(end);
            a.AnonymousLabel();
            a.nop();
        });
        a.mov(rax, r13);
    }
}
