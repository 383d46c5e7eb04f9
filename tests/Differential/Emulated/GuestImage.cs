using Iced.Intel;
using Vmm.Differential.Cases;
using Vmm.Platform.Memory;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Differential.Emulated;

/// <summary>Lays a minimal 64-bit operating system into guest memory: one address space, and handlers that end the run.</summary>
internal static class GuestImage
{
    /// <summary>Writes everything; returns the value for CR3.</summary>
    public static ulong Write(GuestMemory memory)
    {
        DescriptorTables(memory);
        Stubs(memory);
        return Map(new PageTableBuilder(memory, GuestLayout.PageTables));
    }

    static ulong Map(PageTableBuilder tables)
    {
        for (var page = 0ul; page < GuestLayout.ExitPage + 0x1000; page += 0x1000)
        {
            tables.Map(GuestLayout.Kernel + page, page, true, false);
        }

        tables.Map(Sandbox.Exit & ~0xFFFul, GuestLayout.ExitPage, false, true);
        tables.Map(GuestLayout.StopAddress, GuestLayout.StopDevice, true, true);
        for (var at = 0ul; at < Sandbox.Slots * Sandbox.SlotBytes; at += 0x1000)
        {
            tables.Map(Sandbox.CodeBase + at, GuestLayout.Code + at, true, true);
        }

        for (var i = 0; i < Sandbox.BackedPages.Length; i++)
        {
            var offset = (ulong)(Sandbox.BackedPages[i] * Sandbox.PageBytes);
            var writable = offset != Sandbox.ReadOnly;
            tables.Map(Sandbox.Low + offset, GuestLayout.Physical(i), writable, true);
            tables.Map(Sandbox.High + offset, GuestLayout.Physical(i), writable, true);
        }

        return tables.Root;
    }

    static void DescriptorTables(GuestMemory memory)
    {
        const ulong Code64 = 0x00AF_9B00_0000_FFFF, Code32 = 0x00CF_9B00_0000_FFFF, Data = 0x00CF_9300_0000_FFFF, Dpl3 = 3ul << 45;
        var taskBase = GuestLayout.Kernel + GuestLayout.Tss;
        Put(GuestLayout.KernelCode32, Code32);
        Put(GuestLayout.KernelCode, Code64);
        Put(GuestLayout.UserCode32, Code32 | Dpl3);
        Put(GuestLayout.KernelData, Data);
        Put(Sandbox.UserCode & ~7, Code64 | Dpl3);
        Put(Sandbox.UserData & ~7, Data | Dpl3);
        Put(GuestLayout.TaskState, 0x0000_8B00_0000_0067 | (taskBase & 0xFF_FFFF) << 16 | (taskBase >> 24 & 0xFF) << 56);
        Put(GuestLayout.TaskState + 8, taskBase >> 32);
        memory.TryWrite(new Gpa(GuestLayout.Tss + 4), GuestLayout.Kernel + GuestLayout.StackTop);
        // An I/O map base beyond the limit refuses every port.
        memory.TryWrite(new Gpa(GuestLayout.Tss + 102), (ushort)0x68);
        for (var vector = 0; vector < 256; vector++)
        {
            var target = GuestLayout.Kernel + GuestLayout.Handlers + (ulong)(vector * GuestLayout.HandlerBytes);
            var type = vector is 3 or 4 ? 0xEE00ul : 0x8E00;
            var low = target & 0xFFFF | (ulong)GuestLayout.KernelCode << 16 | type << 32 | (target >> 16 & 0xFFFF) << 48;
            memory.TryWrite(new Gpa(GuestLayout.Idt + (ulong)vector * 16), low);
            memory.TryWrite(new Gpa(GuestLayout.Idt + (ulong)vector * 16 + 8), target >> 32);
        }

        void Put(int selector, ulong descriptor) => memory.TryWrite(new Gpa(GuestLayout.Gdt + (ulong)selector), descriptor);
    }

    /// <summary>The end of a case, and 256 exception handlers: each stores a byte to the stop device.</summary>
    static void Stubs(GuestMemory memory)
    {
        var stop = new Assembler(64);
        stop.mov(__byte_ptr[GuestLayout.StopAddress], bl);
        stop.hlt();
        var code = new MemoryStream();
        stop.Assemble(new StreamCodeWriter(code), 0);
        memory.TryWrite(new Gpa(GuestLayout.ExitPage + (Sandbox.Exit & 0xFFF)), code.ToArray());
        for (var vector = 0; vector < 256; vector++)
        {
            memory.TryWrite(new Gpa(GuestLayout.Handlers + (ulong)(vector * GuestLayout.HandlerBytes)), code.ToArray());
        }
    }
}
