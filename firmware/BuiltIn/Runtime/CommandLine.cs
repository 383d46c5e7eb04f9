using Vmm.Specs.Boot;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>What the boot loader said: magic numbers, command line and, by PVH, the RSDP.</summary>
internal sealed class CommandLine
{
    const int Longest = 1024;

    readonly Guest g;
    readonly Variable text;
    readonly Routine find;

    /// <summary>Reserves the variables.</summary>
    public CommandLine(Guest guest)
    {
        g = guest;
        (LoaderMagic, LoaderInformation) = (g.Data.U32(), g.Data.U32());
        text = g.Data.Zeroed(Longest + 2, 1);
        (Quick, RequireDma, LegacyMode, Processors, Rsdp) = (g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64());
        (Read, find) = (g.NewRoutine(), g.NewRoutine());
    }

    /// <summary>EAX at entry.</summary>
    public Variable LoaderMagic { get; }

    /// <summary>EBX at entry: address of multiboot information or of hvm_start_info.</summary>
    public Variable LoaderInformation { get; }

    /// <summary>Not 0: "quick" was given, so timers are measured for a shorter time.</summary>
    public Variable Quick { get; }

    /// <summary>Not 0: "dma" was given, so devices and IOMMU have to be there.</summary>
    public Variable RequireDma { get; }

    /// <summary>Not 0: "legacy" was given, so scalable mode is not used.</summary>
    public Variable LegacyMode { get; }

    /// <summary>N of "smp=N", or 0.</summary>
    public Variable Processors { get; }

    /// <summary>Address of the RSDP if the loader gave it, else 0.</summary>
    public Variable Rsdp { get; }

    /// <summary>Reads the words.</summary>
    public Routine Read { get; }

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(Read, EmitRead);
        g.Define(find, EmitFind);
    }

    void EmitRead()
    {
        var a = g.A;
        var none = a.CreateLabel();
        a.mov(esi, LoaderInformation);
        a.cmp(LoaderMagic, Multiboot.LoaderMagic);
        g.If(
            When.Equal,
            () =>
            {
                a.test(__dword_ptr[rsi + Multiboot.Flags], Multiboot.InfoCmdline);
                a.je(none);
                a.mov(esi, __dword_ptr[rsi + Multiboot.Cmdline]);
            },
            () =>
            {
                a.cmp(__dword_ptr[rsi + HvmStartInfo.Magic], HvmStartInfo.MagicValue);
                a.jne(none);
                a.mov(rax, __qword_ptr[rsi + HvmStartInfo.RsdpPaddr]);
                a.mov(Rsdp, rax);
                a.mov(rsi, __qword_ptr[rsi + HvmStartInfo.CmdlinePaddr]);
            });
        a.test(rsi, rsi);
        a.je(none);
        // A copy that starts and ends with a space: every word then has one on both sides.
        a.mov(edi, text.Address);
        a.mov(al, (byte)' ');
        a.stosb();
        a.mov(ecx, Longest - 1);
        g.Forever(end =>
        {
            a.lodsb();
            a.test(al, al);
            a.je(end);
            a.stosb();
            a.dec(ecx);
            a.je(end);
        });
        a.mov(al, (byte)' ');
        a.stosb();
        g.Place(none);
        g.Call(find, " quick ");
        a.mov(Quick, rax);
        g.Call(find, " dma ");
        a.mov(RequireDma, rax);
        g.Call(find, " legacy ");
        a.mov(LegacyMode, rax);
        g.Call(find, " smp=");
        a.test(rax, rax);
        g.If(When.NotEqual, () =>
        {
            a.movzx(eax, __byte_ptr[rax]);
            a.sub(eax, '0');
            a.mov(Processors, rax);
        });
    }

    /// <summary>RAX: what follows the text at RDI in the command line, or 0.</summary>
    void EmitFind()
    {
        var a = g.A;
        a.mov(esi, text.Address);
        g.Forever(end =>
        {
            a.xor(ecx, ecx);
            g.Forever(differs =>
            {
                a.movzx(eax, __byte_ptr[rdi + rcx]);
                a.test(eax, eax);
                g.If(When.Equal, () =>
                {
                    a.lea(rax, __[rsi + rcx]);
                    g.Return();
                });
                a.cmp(al, __byte_ptr[rsi + rcx]);
                a.jne(differs);
                a.inc(rcx);
            });
            a.cmp(__byte_ptr[rsi], 0);
            a.je(end);
            a.inc(rsi);
        });
        a.xor(eax, eax);
    }
}
