using Iced.Intel;
using Vmm.Firmware.BuiltIn.Runtime;
using Vmm.Specs.Boot;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn;

/// <summary>
/// The guest's first code, in 32-bit protected mode without paging, as multiboot and PVH both enter it: maps the first
/// 4 GiB one to one with 2 MiB pages and switches to long mode (SDM 3A §9.8.5).
/// </summary>
internal sealed class Boot32
{
    const ushort Com1 = 0x3F8;
    const int MappedGigabytes = 4, EntriesPerTable = 512;
    const uint Present = 1, Writable = 2, Large = 0x80, Accessed = 0x20;
    const uint Efer = 0xC000_0080;

    readonly Assembler a = new(32);
    readonly Guest guest;

    /// <summary>Makes the code.</summary>
    /// <param name="guest">The guest; its boot variables are set by the code.</param>
    /// <param name="entry">Address of the 64-bit code to go on with.</param>
    public Boot32(Guest guest, uint entry)
    {
        this.guest = guest;
        const uint Flags = Multiboot.AlignModules | Multiboot.WantMemory;
        a.dd(Multiboot.HeaderMagic, Flags, unchecked(0 - Multiboot.HeaderMagic - Flags));
        var start = a.CreateLabel();
        a.Label(ref start);
        a.cli();
        a.cld();
        a.mov(__dword_ptr[(long)guest.Options.LoaderMagic.Address], eax);
        a.mov(__dword_ptr[(long)guest.Options.LoaderInformation.Address], ebx);
        a.mov(esp, guest.Descriptors.StackTop(0));
        RequireLongMode();
        MapMemory();
        EnterLongMode(entry);
        var writer = new ByteListWriter();
        Entry = (uint)a.Assemble(writer, Layout.Boot, BlockEncoderOptions.ReturnNewInstructionOffsets).GetLabelRIP(start);
        Bytes = writer.ToArray();
    }

    /// <summary>Header and code.</summary>
    public byte[] Bytes { get; }

    /// <summary>Address of the first instruction.</summary>
    public uint Entry { get; }

    /// <summary>Without long mode there is nothing to try: says so on the serial port and stops.</summary>
    void RequireLongMode()
    {
        var (have, lacking, next, stop) = (a.CreateLabel(), a.CreateLabel(), a.CreateLabel(), a.CreateLabel());
        a.mov(eax, 0x8000_0000);
        a.cpuid();
        a.cmp(eax, 0x8000_0001);
        a.jb(lacking);
        a.mov(eax, 0x8000_0001);
        a.cpuid();
        a.bt(edx, 29);
        a.jc(have);
        a.Label(ref lacking);
        a.mov(esi, guest.Data.Text("FAIL the processor has no long mode\r\n"));
        a.mov(edx, Com1);
        a.Label(ref next);
        a.lodsb();
        a.test(al, al);
        a.je(stop);
        a.@out(dx, al);
        a.jmp(next);
        a.Label(ref stop);
        a.mov(eax, 1);
        a.@out(0xF4, eax);
        var forever = a.CreateLabel();
        a.Label(ref forever);
        a.hlt();
        a.jmp(forever);
        a.Label(ref have);
        a.nop();
    }

    void MapMemory()
    {
        var root = guest.Pages.Root.Address;
        var pointers = root + Layout.PageSize;
        var directories = pointers + Layout.PageSize;
        a.mov(__dword_ptr[(long)root], pointers | Present | Writable | Accessed);
        for (var i = 0u; i < MappedGigabytes; i++)
        {
            a.mov(__dword_ptr[(long)(pointers + i * 8)], (directories + i * Layout.PageSize) | Present | Writable | Accessed);
        }

        var next = a.CreateLabel();
        a.mov(edi, directories);
        a.mov(eax, Present | Writable | Large);
        a.mov(ecx, MappedGigabytes * EntriesPerTable);
        a.Label(ref next);
        a.mov(__dword_ptr[edi], eax);
        a.add(eax, 0x20_0000);
        a.add(edi, 8);
        a.dec(ecx);
        a.jne(next);
    }

    void EnterLongMode(uint entry)
    {
        a.lgdt(__fword_ptr[(long)guest.Descriptors.GdtPointer.Address]);
        a.mov(eax, cr4);
        a.or(eax, 1 << 5);
        a.mov(cr4, eax);
        a.mov(eax, guest.Pages.Root.Address);
        a.mov(cr3, eax);
        a.mov(ecx, Efer);
        a.rdmsr();
        a.or(eax, 1 << 8);
        a.wrmsr();
        a.mov(eax, cr0);
        a.or(eax, 0x8000_0001);
        a.mov(cr0, eax);
        a.jmp(Descriptors.KernelCode, entry);
    }
}
