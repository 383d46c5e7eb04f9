using Vmm.Firmware.BuiltIn.Runtime;
using Vmm.Firmware.BuiltIn.Tests;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Dma;

/// <summary>The NVMe controller: brought up behind the unit, what the load overwrites kept, and put back at the end.</summary>
internal sealed class DmaDisk(Guest guest, DmaBuffers buffers)
{
    /// <summary>Opcodes.</summary>
    public const int Write = 1, Read = 2;

    /// <summary>Bytes of the disk, from its start, that are used.</summary>
    public const uint Region = DmaLoad.Burst * DmaLoad.Largest;

    /// <summary>Where the load's data comes from, and where it goes to: <see cref="Region"/> bytes each.</summary>
    public const uint Source = Layout.Arena, Target = Source + Region;

    /// <summary>The content of the disk before.</summary>
    const uint Saved = Target + Region;

    const int LargestTransferAt = 77;
    const byte Identify = 6;

    readonly Guest g = guest;
    readonly Routine copy = guest.NewRoutine();

    /// <summary>Not 0: transfers work.</summary>
    public Variable Works { get; } = guest.Data.U64();

    /// <summary>Bytes that are used of the disk.</summary>
    public Variable Bytes { get; } = guest.Data.U64();

    /// <summary>Largest transfer in bytes.</summary>
    public Variable LargestTransfer { get; } = guest.Data.U64();

    /// <summary>Emits the test that finds the controller.</summary>
    public void EmitFind() => g.Checks.Test("pci", $"{g.Pci.Count} functions, NVMe controller {g.Nvme.Function:x4} with registers at {g.Nvme.Base:x}", () =>
    {
        g.Call(g.Pci.Scan);
        g.Call(g.Nvme.Find);
        g.A.cmp(g.Nvme.Base, 0);
        g.Checks.True(When.NotEqual, "there is an NVMe controller");
    });

    /// <summary>Emits the test that starts the controller behind the unit.</summary>
    public void EmitStart() => g.Checks.Test("nvme", $"{g.Nvme.Blocks} blocks of {g.Nvme.BlockSize} bytes, transfers of up to {LargestTransfer} bytes; {Bytes} bytes of it will be used and put back", () =>
    {
        var a = g.A;
        a.cmp(g.Nvme.Base, 0);
        g.If(When.Equal, () => g.Checks.Skip("there is no NVMe controller"));
        a.cmp(buffers.Works, 0);
        g.If(When.Equal, () => g.Checks.Skip("the unit does not work"));
        g.Call(g.Nvme.Stop);
        g.Checks.Equal(rax, 1, "the controller stops");
        MapQueues();
        g.Call(g.Nvme.Start);
        Require(1, "the controller becomes ready");
        g.Nvme.Run(0, Identify, 0, g.Nvme.Buffer.Address, 1);
        Require(0, "identify controller: status");
        NoteLargestTransfer();
        NvmeTests.Namespace(g);
        g.Nvme.CreateQueues(interrupts: false);
        Require(0, "create I/O queues: status");
        NoteRegion();
        foreach (var (opcode, rights, what) in ((int, uint, string)[])[(Read, DmaUnit.MayWrite, "read"), (Write, DmaUnit.MayRead, "written back")])
        {
            g.Call(copy, opcode, rights);
            Require(0, $"content of the disk can be {what}: status");
        }

        a.mov(Works, 1);
    });

    /// <summary>Checks RAX; without the value expected the test ends.</summary>
    void Require(int expected, string what)
    {
        g.A.mov(rbx, rax);
        g.Checks.Equal(rbx, expected, what);
        g.A.cmp(rbx, expected);
        g.If(When.NotEqual, g.Checks.Leave);
    }

    /// <summary>Emits the test that puts the disk's content back and stops controller and unit.</summary>
    public void EmitEnd() => g.Checks.Test("end", $"content of the disk is back; controller and unit are off", () =>
    {
        NeedDisk();
        g.Call(copy, Write, DmaUnit.MayRead);
        g.Checks.Equal(rax, 0, "content of the disk is put back: status");
        g.Call(g.Nvme.Stop);
        g.Checks.Equal(rax, 1, "the controller stops");
        buffers.CallIfPresent(UnitCall.Stop);
        g.Checks.Equal(rax, 1, "the unit stops");
    });

    /// <summary>Emits code that leaves the test unless the controller works.</summary>
    public void NeedDisk()
    {
        g.A.cmp(Works, 0);
        g.If(When.Equal, () => g.Checks.Skip("the NVMe controller is not there or does not work"));
    }

    /// <summary>What the controller uses all the time is mapped at its physical address plus an offset, as the driver says it.</summary>
    void MapQueues()
    {
        var a = g.A;
        const uint Both = DmaUnit.MayRead | DmaUnit.MayWrite;
        (Variable Pages, uint Rights, uint Count)[] parts =
        [
            (g.Nvme.Submissions, DmaUnit.MayRead, 2), (g.Nvme.Completions, Both, 2), (g.Nvme.List, DmaUnit.MayRead, 1), (g.Nvme.Buffer, Both, 1),
        ];
        a.cmp(buffers.Unit, 0);
        g.If(When.NotEqual, () =>
        {
            a.mov(g.Nvme.BusOffset, (int)RemappingUnit.Offset);
            foreach (var (pages, rights, count) in parts)
            {
                buffers.Call(UnitCall.Map, pages.Address + RemappingUnit.Offset, pages.Address | rights, count * Layout.PageSize);
                g.Checks.Equal(rax, 1, "the controller's queues are mapped");
                buffers.Call(UnitCall.Show, pages.Address + RemappingUnit.Offset, count * Layout.PageSize);
                g.Checks.Equal(rax, 1, "the controller's queues can be reached");
            }
        });
    }

    /// <summary>MDTS in pages of 4 KiB, 0 for no limit; the guest needs no more than its largest buffer.</summary>
    void NoteLargestTransfer()
    {
        var a = g.A;
        a.movzx(ecx, g.Nvme.Buffer.As(1, LargestTransferAt));
        a.mov(eax, DmaLoad.Largest);
        a.test(ecx, ecx);
        g.If(When.NotEqual, () =>
        {
            a.cmp(ecx, 8);
            g.If(When.NotAbove, () =>
            {
                a.mov(edx, Layout.PageSize);
                a.shl(edx, cl);
                a.cmp(edx, eax);
                g.If(When.Below, () => a.mov(eax, edx));
            });
        });
        a.mov(LargestTransfer, rax);
    }

    void NoteRegion()
    {
        var a = g.A;
        a.mov(rax, g.Nvme.Blocks);
        a.mul(g.Nvme.BlockSize);
        a.and(rax, -(int)Layout.PageSize);
        a.cmp(rax, (int)Region);
        g.If(When.Above, () => a.mov(eax, Region));
        a.mov(Bytes, rax);
    }

    /// <summary>Emits the routines.</summary>
    public void Emit() => g.Define(copy, [rbx, r12, r13, r14, r15], EmitCopy);

    /// <summary>Transfers the region page by page between the disk and where it is kept: opcode, rights. RAX is 0 or the status that ended it.</summary>
    void EmitCopy()
    {
        var a = g.A;
        a.mov(r12, rdi);
        a.mov(r13, rsi);
        a.xor(ebx, ebx);
        g.Forever(end =>
        {
            a.xor(eax, eax);
            a.cmp(rbx, Bytes);
            a.jae(end);
            a.lea(rdi, __[rbx + r13 + Saved]);
            g.Call(buffers.Map, rdi, Layout.PageSize, 0);
            a.mov(r14, rax);
            g.Call(g.Nvme.Transfer, r12, rbx, Layout.PageSize, r14);
            a.mov(r15, rax);
            g.Call(buffers.Unmap, r14, Layout.PageSize);
            a.mov(rax, r15);
            a.test(rax, rax);
            a.jne(end);
            a.add(ebx, (int)Layout.PageSize);
        });
    }
}
