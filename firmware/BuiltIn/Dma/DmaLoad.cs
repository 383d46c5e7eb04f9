using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Dma;

/// <summary>
/// The load: bursts of buffers that are mapped, written to the disk or read from it, and unmapped, strictly or later. What a
/// burst writes, the next one reads, and every byte is compared. One line for each way, size and number of pieces that do not
/// lie next to each other says what the guest counted.
/// </summary>
internal sealed partial class DmaLoad(Guest guest, DmaBuffers buffers, DmaDisk disk)
{
    /// <summary>Buffers that are mapped at once.</summary>
    public const uint Burst = 5;

    /// <summary>Bytes of the largest buffer.</summary>
    public const uint Largest = 128 << 10;

    /// <summary>Buffers of a line, and unmaps after which a unit is told of them when that is done later.</summary>
    const int Buffers = 250, MostDeferred = 250;

    /// <summary>Bytes between which the data changes from burst to burst.</summary>
    const int Stride = 64;

    static readonly (uint Bytes, bool InPieces)[] Lines =
        [(4 << 10, false), (16 << 10, false), (64 << 10, false), (Largest, false), (16 << 10, true), (Largest, true)];

    readonly Guest g = guest;
    readonly Routine row = guest.NewRoutine(), fill = guest.NewRoutine(), stamp = guest.NewRoutine();
    readonly Routine burst = guest.NewRoutine(), mapAll = guest.NewRoutine(), transferAll = guest.NewRoutine(), unmapAll = guest.NewRoutine();

    readonly Variable addresses = guest.Data.Zeroed(Burst * 8, 8);
    readonly Variable distance = guest.Data.U64(), pieces = guest.Data.U64();
    readonly Variable bytes = guest.Data.U64(), total = guest.Data.U64(), defers = guest.Data.U64(), deferred = guest.Data.U64();
    readonly Variable memory = guest.Data.U64(), rights = guest.Data.U64(), opcode = guest.Data.U64();
    readonly Variable refused = guest.Data.U64(), failed = guest.Data.U64(), differing = guest.Data.U64(), seed = guest.Data.U64();

    /// <summary>Emits the tests.</summary>
    public void EmitTests()
    {
        Test("strict", false, $"{Buffers} buffers of each size, unmapped one by one: the unit forgets each before it is used anew");
        Test("lazy", true, $"{Buffers} buffers of each size, unmapped later: the unit forgets {(Operand)MostDeferred} at once");
    }

    void Test(string name, bool later, GuestText summary) => g.Checks.Test(name, summary, () =>
    {
        disk.NeedDisk();
        g.Call(fill);
        g.Print($"         {(Operand)name:s6}  bytes  pieces  buffers | map: accesses commands waits | transfer: accesses | unmap: accesses commands waits | accesses per map  unmap\n");
        foreach (var (size, inPieces) in Lines)
        {
            g.Call(row, size, later ? 1 : 0, inPieces ? Burst * Layout.PageSize : 0);
        }
    });

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(fill, EmitFill);
        g.Define(stamp, EmitStamp);
        g.Define(mapAll, [rbx], EmitMapAll);
        g.Define(transferAll, [rbx], EmitTransferAll);
        g.Define(unmapAll, [rbx], EmitUnmapAll);
        g.Define(burst, EmitBurst);
        g.Define(row, [rbx], EmitRow);
    }

    /// <summary>Every eight bytes of the source are different.</summary>
    void EmitFill()
    {
        var a = g.A;
        a.mov(edi, DmaDisk.Source);
        a.mov(ecx, DmaDisk.Region / 8);
        a.mov(rax, 0x9E37_79B9_7F4A_7C15);
        a.mov(rdx, rax);
        g.Forever(end =>
        {
            a.stosq();
            a.add(rax, rdx);
            a.dec(ecx);
            a.je(end);
        });
    }

    /// <summary>New data in every line of the part of the source that is used.</summary>
    void EmitStamp()
    {
        var a = g.A;
        a.mov(edi, DmaDisk.Source);
        a.mov(rcx, total);
        a.add(rcx, rdi);
        a.inc(seed);
        a.mov(rax, seed);
        g.Forever(end =>
        {
            a.add(__qword_ptr[rdi], rax);
            a.add(rdi, Stride);
            a.cmp(rdi, rcx);
            a.jae(end);
        });
    }

    /// <summary>RDI: bytes of a buffer, RSI: 1 to unmap later, RDX: distance of its pages, or 0.</summary>
    void EmitRow()
    {
        var a = g.A;
        a.mov(bytes, rdi);
        a.mov(defers, rsi);
        a.mov(distance, rdx);
        a.imul(rax, rdi, (int)Burst);
        a.mov(total, rax);
        CountPieces();
        foreach (var (limit, needed) in ((Variable, Variable)[])[(disk.Bytes, total), (disk.LargestTransfer, bytes)])
        {
            a.mov(rax, needed);
            a.cmp(rax, limit);
            g.If(When.Above, () =>
            {
                g.Print($"         {bytes:d14}  {pieces:d6}  left out: the disk or the controller does not take so much\n");
                g.Return();
            });
        }

        foreach (var zero in (Variable[])[deferred, refused, failed, differing])
        {
            a.mov(zero, 0);
        }

        g.Call(g.Tally.Clear);
        a.mov(ebx, Buffers / (int)Burst / 2);
        g.Forever(end =>
        {
            Transfer(DmaDisk.Write, DmaDisk.Source, DmaUnit.MayRead);
            Transfer(DmaDisk.Read, DmaDisk.Target, DmaUnit.MayWrite);
            // What does not work takes long to fail.
            a.mov(rax, refused);
            a.or(rax, failed);
            a.jne(end);
            a.dec(ebx);
            a.je(end);
        });
        a.cmp(deferred, 0);
        g.If(When.NotEqual, () => Flush());
        g.Tally.Enter(Section.Other);
        PrintRow();
        g.Checks.Equal(refused, 0, "mappings and unmappings that failed");
        g.Checks.Equal(failed, 0, "transfers that failed");
        g.Checks.Equal(differing, 0, "bursts that were read otherwise than written");
    }

    /// <summary>Pieces have an address in common only behind a unit.</summary>
    void CountPieces()
    {
        var a = g.A;
        a.mov(pieces, 1);
        a.cmp(distance, 0);
        g.If(When.NotEqual, () =>
        {
            a.mov(rax, bytes);
            a.shr(rax, 12);
            a.mov(pieces, rax);
            buffers.WithoutUnit(() =>
            {
                g.Print($"         {bytes:d14}  {pieces:d6}  left out: without a unit pieces stay pieces\n");
                g.Return();
            });
        });
    }

    void Transfer(int how, uint where, uint allowed)
    {
        g.A.mov(opcode, how);
        g.A.mov(memory, (int)where);
        g.A.mov(rights, (int)allowed);
        g.Call(burst);
    }

    void Flush()
    {
        var a = g.A;
        a.mov(deferred, 0);
        g.Tally.Enter(Section.Unmap);
        buffers.CallIfPresent(UnitCall.Flush);
        a.test(rax, rax);
        g.If(When.Equal, () => a.inc(refused));
    }

    void PrintRow()
    {
        var t = g.Tally;
        g.Print($"         {bytes:d14}  {pieces:d6}  {(Operand)Buffers:d7} | {t[Section.Map, Tallied.Access]:d13} {t[Section.Map, Tallied.Command]:d8} {t[Section.Map, Tallied.Wait]:d5} | ");
        g.Print($"{t[Section.Transfer, Tallied.Access]:d18} | {t[Section.Unmap, Tallied.Access]:d15} {t[Section.Unmap, Tallied.Command]:d8} {t[Section.Unmap, Tallied.Wait]:d5} | ");
        PrintShare(t[Section.Map, Tallied.Access]);
        g.Print($"  ");
        PrintShare(t[Section.Unmap, Tallied.Access]);
        g.Print($"\n");
    }

    /// <summary>A count for each buffer, in thousandths.</summary>
    void PrintShare(Variable count)
    {
        var a = g.A;
        a.mov(rax, count);
        a.imul(rax, rax, 1000);
        a.xor(edx, edx);
        a.mov(ecx, Buffers);
        a.div(rcx);
        a.mov(rbx, rax);
        g.Print($"{rbx:k}");
    }
}
