using System.Buffers.Binary;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Bench.Image;

/// <summary>
/// The boot image that every engine runs: a boot sector that enters long mode with 4 KiB pages, then the loops, then power-off by
/// whatever means the engine knows.
/// </summary>
internal static class LoopImage
{
    const ulong Signature = 0x4C4F_4F50_494D_4147;
    const uint Efer = 0xC000_0080;

    /// <summary>Builds the image; every count is divided by <paramref name="divisor"/>.</summary>
    public static byte[] Build(IReadOnlyList<Loop> loops, int divisor)
    {
        var image = new byte[2 * Layout.Cylinder];
        Put(image, 0, Assemble(16, Layout.BootSector, Start), Layout.SectorSize - 2 - Descriptors.Length * 8);
        for (var i = 0; i < Descriptors.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(TableOffset + i * 8), Descriptors[i]);
        }

        image[Layout.SectorSize - 2] = 0x55;
        image[Layout.SectorSize - 1] = 0xAA;
        BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(Layout.SectorSize), Signature);
        Put(image, Layout.LongEntry - Layout.BootSector, Assemble(64, Layout.LongEntry, a => RunAll(a, loops, divisor)), Layout.RestSectors * Layout.SectorSize - 8);
        return image;
    }

    /// <summary>Null, 64-bit code, data; then the pointer for LGDT.</summary>
    static ulong[] Descriptors { get; } = [0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, (ulong)(TableOffset + Layout.BootSector) << 16 | 23];

    static int TableOffset => Layout.SectorSize - 2 - 4 * 8;

    static void Put(byte[] image, int offset, byte[] code, int limit)
    {
        if (code.Length > limit)
        {
            throw new InvalidOperationException($"{code.Length} bytes of code do not fit into {limit}");
        }

        code.CopyTo(image, offset);
    }

    static byte[] Assemble(int bitness, ulong address, Action<Assembler> body)
    {
        var assembler = new Assembler(bitness);
        body(assembler);
        using var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), address);
        return stream.ToArray();
    }

    /// <summary>Real mode: fetches the other sectors unless they came along, builds page tables, enters long mode in one step.</summary>
    static void Start(Assembler a)
    {
        var loaded = a.CreateLabel();
        a.cli();
        a.xor(ax, ax);
        a.mov(ds, ax);
        a.mov(es, ax);
        a.mov(ss, ax);
        a.mov(sp, Layout.BootSector);
        a.cld();
        a.cmp(__dword_ptr[Layout.Rest], unchecked((uint)Signature));
        a.je(loaded);
        // INT 13h, AH = 2: AL sectors of cylinder CH, head DH, from sector CL, of drive DL to ES:BX.
        a.mov(ax, 0x0200 | Layout.RestSectors);
        a.mov(bx, Layout.Rest);
        a.mov(cx, 2);
        a.mov(dh, 0);
        a.@int(0x13);
        a.cli();
        a.Label(ref loaded);
        Tables(a);
        a.mov(eax, Layout.PageTables);
        a.mov(cr3, eax);
        a.mov(eax, 0x20);
        a.mov(cr4, eax);
        a.mov(ecx, Efer);
        a.rdmsr();
        a.or(eax, 0x100);
        a.wrmsr();
        a.lgdt(__fword_ptr[Layout.BootSector + TableOffset + 3 * 8]);
        a.mov(eax, 0x8000_0011);
        a.mov(cr0, eax);
        a.jmp(8, Layout.LongEntry);
    }

    static void Tables(Assembler a)
    {
        const int Flags = 3;
        a.mov(ax, Layout.PageTables >> 4);
        a.mov(es, ax);
        a.xor(di, di);
        a.xor(eax, eax);
        a.mov(cx, 4 * 4096 / 4);
        a.rep.stosd();
        for (var level = 0; level < 3; level++)
        {
            a.mov(__dword_ptr.es[level * 4096], Layout.PageTables + (level + 1) * 4096 | Flags);
        }

        var next = a.CreateLabel();
        a.mov(eax, Flags);
        a.mov(di, 3 * 4096);
        a.Label(ref next);
        a.mov(__dword_ptr.es[di], eax);
        a.add(eax, 4096);
        a.add(di, 8);
        a.cmp(di, 4 * 4096);
        a.jb(next);
    }

    static void RunAll(Assembler a, IReadOnlyList<Loop> loops, int divisor)
    {
        var report = a.CreateLabel();
        a.mov(eax, 0x10);
        a.mov(ds, eax);
        a.mov(es, eax);
        a.mov(ss, eax);
        a.mov(esp, Layout.StackTop);
        Fill(a);
        for (var i = 0; i < loops.Count; i++)
        {
            Clear(a);
            a.mov(r15, loops[i].Iterations / divisor);
            Tell(a, (byte)(Marker.Begin + i));
            loops[i].Emit(a);
            a.mov(r14, rax);
            Tell(a, (byte)(Marker.End + i));
            a.call(report);
        }

        Tell(a, Marker.Done);
        Stop(a);
        a.Label(ref report);
        Report(a);
    }

    static void Clear(Assembler a)
    {
        AssemblerRegister32[] all = [eax, ebx, ecx, edx, esi, edi, ebp, r8d, r9d, r10d, r11d];
        foreach (var register in all)
        {
            a.xor(register, register);
        }
    }

    static void Fill(Assembler a)
    {
        var next = a.CreateLabel();
        a.mov(edi, Layout.Working);
        a.mov(ecx, Layout.Filled / 8);
        a.mov(rax, 0x9E37_79B9_7F4A_7C15);
        a.mov(rdx, rax);
        a.Label(ref next);
        a.stosq();
        a.add(rax, rdx);
        a.loop(next);
    }

    static void Tell(Assembler a, byte marker)
    {
        a.mov(al, marker);
        a.@out(0xE9, al);
        a.xor(eax, eax);
    }

    /// <summary>Writes R14 as sixteen digits.</summary>
    static void Report(Assembler a)
    {
        var next = a.CreateLabel();
        a.mov(ecx, 16);
        a.Label(ref next);
        a.rol(r14, 4);
        a.mov(eax, r14d);
        a.and(al, 15);
        a.or(al, Marker.Digit);
        a.@out(0xE9, al);
        a.dec(ecx);
        a.jne(next);
        a.ret();
    }

    /// <summary>The debug-exit port, then the word that port 0x8900 of Bochs waits for.</summary>
    static void Stop(Assembler a)
    {
        var forever = a.CreateLabel();
        a.xor(eax, eax);
        a.@out(0xF4, al);
        a.mov(edx, 0x8900);
        foreach (var letter in "Shutdown"u8)
        {
            a.mov(al, letter);
            a.@out(dx, al);
        }

        a.Label(ref forever);
        a.cli();
        a.hlt();
        a.jmp(forever);
    }
}
