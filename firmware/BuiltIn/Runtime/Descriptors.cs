using System.Buffers.Binary;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>GDT, IDT, interrupt stubs and task state segments: all are data that is ready before the guest starts (SDM 3A §3.5, §6.14, §7.7).</summary>
internal sealed class Descriptors
{
    /// <summary>Selectors. SYSRET wants user code 32, user data and user code 64 one after the other.</summary>
    public const ushort KernelCode = 0x08, KernelData = 0x10, UserCode32 = 0x18, UserData = 0x20 | 3, UserCode = 0x28 | 3, KernelCode32 = 0x30, Absent = 0x38;

    /// <summary>Selector of the first processor's task state; the next ones follow.</summary>
    public const ushort FirstTask = 0x40;

    /// <summary>Processors that the guest can start.</summary>
    public const int MostProcessors = 8;

    /// <summary>Interrupt stack table entries for non-maskable interrupts and double faults.</summary>
    public const int NmiStack = 1, DoubleFaultStack = 2;

    /// <summary>The vector that CPL 3 may raise with INT.</summary>
    public const byte UserVector = 0x80;

    /// <summary>The port that the first processor's permission map opens to CPL 3.</summary>
    public const ushort OpenPort = 0x80;

    const int Vectors = 256, StubSize = 16, TaskSize = 104, PortMapBytes = 40, DescriptorSize = 8, TaskDescriptorSize = 16;
    const uint StackSize = 0x2000, InterruptStackSize = 0x1000;
    const int Rsp0 = 4, Ist1 = 36, PortMapBase = 102;

    /// <summary>Vectors whose exceptions push an error code (SDM 3A table 6-1).</summary>
    static readonly int[] WithErrorCode = [8, 10, 11, 12, 13, 14, 17, 21, 29, 30];

    /// <summary>Reserves the tables.</summary>
    public Descriptors(Guest guest)
    {
        Common = guest.NewRoutine();
        Stacks = guest.Data.Zeroed(MostProcessors * StackSize, 8, 16);
        var interruptStacks = guest.Data.Zeroed(3 * MostProcessors * InterruptStackSize, 8, 16);
        var tasks = guest.Data.Initial(Tasks(interruptStacks.Address), 8, 16);
        Gdt = guest.Data.Initial(GlobalTable(tasks.Address), 8, 16);
        GdtPointer = guest.Data.Initial(Pointer(FirstTask + MostProcessors * TaskDescriptorSize, Gdt.Address), 2, 16);
        var common = guest.Data.Pointer(Common);
        var stubs = guest.Data.Initial(Stubs(common.Address), 8, 16);
        Idt = guest.Data.Initial(InterruptTable(stubs.Address), 8, 16);
        IdtPointer = guest.Data.Initial(Pointer(Vectors * 16, Idt.Address), 2, 16);
        Task = tasks;
    }

    /// <summary>Where every interrupt stub goes on; vector and error code are on the stack.</summary>
    public Routine Common { get; }

    /// <summary>The GDT.</summary>
    public Variable Gdt { get; }

    /// <summary>Operand of LGDT.</summary>
    public Variable GdtPointer { get; }

    /// <summary>The IDT.</summary>
    public Variable Idt { get; }

    /// <summary>Operand of LIDT.</summary>
    public Variable IdtPointer { get; }

    /// <summary>The first processor's task state segment.</summary>
    public Variable Task { get; }

    /// <summary>Stacks, one after the other, first processor first.</summary>
    public Variable Stacks { get; }

    /// <summary>RSP0 of the first processor's task state segment.</summary>
    public Variable FirstRsp0 => Task.As(8, Rsp0);

    /// <summary>Length of a stack in bytes.</summary>
    public static uint StackLength => StackSize;

    /// <summary>Top of a processor's stack.</summary>
    public uint StackTop(int processor) => Stacks.Address + (uint)(processor + 1) * StackSize;

    static byte[] Tasks(uint stacks)
    {
        var bytes = new byte[MostProcessors * (TaskSize + PortMapBytes)];
        for (var i = 0; i < MostProcessors; i++)
        {
            var task = bytes.AsSpan(i * (TaskSize + PortMapBytes), TaskSize + PortMapBytes);
            for (var stack = 0; stack < 3; stack++)
            {
                var top = stacks + (uint)(i * 3 + stack + 1) * InterruptStackSize;
                BinaryPrimitives.WriteUInt64LittleEndian(task[(stack == 0 ? Rsp0 : Ist1 + (stack - 1) * 8)..], top);
            }

            BinaryPrimitives.WriteUInt16LittleEndian(task[PortMapBase..], TaskSize);
            task[TaskSize..].Fill(0xFF);
            task[TaskSize + OpenPort / 8] &= unchecked((byte)~(1 << OpenPort % 8));
        }

        return bytes;
    }

    static byte[] GlobalTable(uint tasks)
    {
        ulong[] flat = [0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x00CF_FB00_0000_FFFF, 0x00CF_F300_0000_FFFF, 0x00AF_FB00_0000_FFFF, 0x00CF_9B00_0000_FFFF, 0x00CF_1300_0000_FFFF];
        var bytes = new byte[flat.Length * DescriptorSize + MostProcessors * TaskDescriptorSize];
        for (var i = 0; i < flat.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(i * DescriptorSize), flat[i]);
        }

        for (var i = 0; i < MostProcessors; i++)
        {
            ulong address = tasks + (uint)(i * (TaskSize + PortMapBytes));
            ulong limit = TaskSize + PortMapBytes - 1;
            var low = limit | (address & 0xFF_FFFF) << 16 | 0x89ul << 40 | (address >> 24 & 0xFF) << 56;
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(FirstTask + i * TaskDescriptorSize), low);
        }

        return bytes;
    }

    static byte[] Pointer(int length, uint address)
    {
        var bytes = new byte[16];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)(length - 1));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(2), address);
        return bytes;
    }

    /// <summary>A stub per vector: PUSH 0 unless there is an error code, PUSH vector, JMP [common].</summary>
    static byte[] Stubs(uint common)
    {
        var bytes = new byte[Vectors * StubSize];
        for (var vector = 0; vector < Vectors; vector++)
        {
            var stub = bytes.AsSpan(vector * StubSize, StubSize);
            var at = 0;
            if (!WithErrorCode.AsSpan().Contains(vector))
            {
                (stub[0], stub[1]) = (0x6A, 0);
                at = 2;
            }

            stub[at] = 0x68;
            BinaryPrimitives.WriteInt32LittleEndian(stub[(at + 1)..], vector);
            (stub[at + 5], stub[at + 6], stub[at + 7]) = (0xFF, 0x24, 0x25);
            BinaryPrimitives.WriteUInt32LittleEndian(stub[(at + 8)..], common);
        }

        return bytes;
    }

    static byte[] InterruptTable(uint stubs)
    {
        var bytes = new byte[Vectors * 16];
        for (var vector = 0; vector < Vectors; vector++)
        {
            var gate = bytes.AsSpan(vector * 16, 16);
            var stub = stubs + (uint)(vector * StubSize);
            var stack = vector switch { 2 => NmiStack, 8 => DoubleFaultStack, _ => 0 };
            var rights = vector is 3 or UserVector ? 0xEE : 0x8E;
            BinaryPrimitives.WriteUInt16LittleEndian(gate, (ushort)stub);
            BinaryPrimitives.WriteUInt16LittleEndian(gate[2..], KernelCode);
            (gate[4], gate[5]) = ((byte)stack, (byte)rights);
            BinaryPrimitives.WriteUInt16LittleEndian(gate[6..], (ushort)(stub >> 16));
        }

        return bytes;
    }
}
