using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Dma;

/// <content>One burst: all of its buffers are mapped, then transferred, then unmapped.</content>
internal sealed partial class DmaLoad
{
    void EmitBurst()
    {
        var a = g.A;
        a.cmp(opcode, DmaDisk.Write);
        g.If(When.Equal, () => g.Call(stamp));
        g.Tally.Enter(Section.Map);
        g.Call(mapAll);
        g.Tally.Enter(Section.Transfer);
        g.Call(transferAll);
        g.Tally.Enter(Section.Unmap);
        g.Call(unmapAll);
        g.Tally.Enter(Section.Other);
        a.cmp(opcode, DmaDisk.Read);
        g.If(When.Equal, () =>
        {
            a.mov(esi, DmaDisk.Source);
            a.mov(edi, DmaDisk.Target);
            a.mov(rcx, total);
            a.shr(rcx, 3);
            a.repe.cmpsq();
            g.If(When.NotEqual, () => a.inc(differing));
        });
    }

    void EmitMapAll()
    {
        var a = g.A;
        g.For(rbx, Burst, () =>
        {
            // Pages of buffers in pieces take turns: page j of buffer i is page j * Burst + i.
            a.mov(rdi, rbx);
            a.mov(eax, Layout.PageSize);
            a.cmp(distance, 0);
            g.If(When.Equal, () => a.mov(rax, bytes));
            a.imul(rdi, rax);
            a.add(rdi, memory);
            a.or(rdi, rights);
            g.Call(buffers.Map, rdi, bytes, distance);
            a.mov(addresses.At(rbx), rax);
            a.test(rax, rax);
            g.If(When.Equal, () => a.inc(refused));
        });
    }

    void EmitTransferAll()
    {
        var a = g.A;
        g.For(rbx, Burst, () =>
        {
            a.mov(rsi, rbx);
            a.imul(rsi, bytes);
            a.mov(rcx, addresses.At(rbx));
            a.mov(rdx, bytes);
            g.Load(rdi, opcode);
            a.call(g.Nvme.Transfer.Label);
            a.test(rax, rax);
            g.If(When.NotEqual, () => a.inc(failed));
        });
    }

    void EmitUnmapAll()
    {
        var a = g.A;
        g.For(rbx, Burst, () =>
        {
            a.mov(rdi, addresses.At(rbx));
            a.cmp(defers, 0);
            g.If(
                When.Equal,
                () => g.Call(buffers.Unmap, rdi, bytes),
                () =>
                {
                    g.Call(buffers.UnmapLater, rdi, bytes);
                    a.inc(deferred);
                });
            a.test(rax, rax);
            g.If(When.Equal, () => a.inc(refused));
            a.cmp(deferred, MostDeferred);
            g.If(When.Equal, () => Flush());
        });
    }
}
