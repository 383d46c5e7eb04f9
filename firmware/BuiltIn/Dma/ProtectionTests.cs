using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Dma;

/// <summary>What the controller reaches after an unmap: nothing when it was strict, the page until the flush when it was not.</summary>
internal static class ProtectionTests
{
    const uint Page = DmaDisk.Target;
    const long Guard = 0x0BAD_F00D_0BAD_F00D;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g, DmaBuffers buffers, DmaDisk disk)
    {
        g.Checks.Test("protection", () => Summary(g, buffers), () =>
        {
            disk.NeedDisk();
            WriteKnownData(g, buffers);
            buffers.WithoutUnit(() =>
            {
                Map(g, buffers, DmaUnit.MayWrite);
                g.Call(buffers.Unmap, rbp, Layout.PageSize);
                Reaches(g, "without a unit an address works after its unmap");
                g.Checks.Leave();
            });
            Strict(g, buffers);
            Later(g, buffers);
            Rights(g, buffers);
        });
    }

    static void Summary(Guest g, DmaBuffers buffers)
    {
        buffers.WithoutUnit(() => g.Print($"none: an unmapped buffer is still written"));
        buffers.ForUnit(_ => g.Print($"strict: nothing is reached after unmap; lazy: the page until the flush; read-only pages are not written"));
    }

    static void WriteKnownData(Guest g, DmaBuffers buffers)
    {
        g.Call(buffers.Map, DmaDisk.Source | DmaUnit.MayRead, Layout.PageSize, 0);
        g.A.mov(rbp, rax);
        g.Call(g.Nvme.Transfer, DmaDisk.Write, 0, Layout.PageSize, rbp);
        g.Checks.Equal(rax, 0, "known data is written: status");
        g.Call(buffers.Unmap, rbp, Layout.PageSize);
        g.Checks.Equal(rax, 1, "its buffer is unmapped");
    }

    static void Strict(Guest g, DmaBuffers buffers)
    {
        Map(g, buffers, DmaUnit.MayWrite);
        Reaches(g, "a mapped page");
        g.Call(buffers.Unmap, rbp, Layout.PageSize);
        g.Checks.Equal(rax, 1, "unmap");
        Blocked(g, buffers, "after a strict unmap");
    }

    static void Later(Guest g, DmaBuffers buffers)
    {
        Map(g, buffers, DmaUnit.MayWrite);
        Reaches(g, "a mapped page, again");
        g.Call(buffers.UnmapLater, rbp, Layout.PageSize);
        g.Checks.Equal(rax, 1, "unmap for later");
        Reaches(g, "an unmapped page before the flush");
        buffers.Call(UnitCall.Flush);
        g.Checks.Equal(rax, 1, "flush");
        Blocked(g, buffers, "after the flush");
    }

    static void Rights(Guest g, DmaBuffers buffers)
    {
        Map(g, buffers, DmaUnit.MayRead);
        Blocked(g, buffers, "a page that may only be read", isMapped: true);
        g.Call(buffers.Unmap, rbp, Layout.PageSize);
        g.Checks.Equal(rax, 1, "unmap of the read-only page");
    }

    /// <summary>RBP: the I/O address of the page.</summary>
    static void Map(Guest g, DmaBuffers buffers, uint rights)
    {
        g.Call(buffers.Map, Page | rights, Layout.PageSize, 0);
        g.A.mov(rbp, rax);
        g.A.test(rax, rax);
        g.Checks.True(When.NotEqual, "a page is mapped");
    }

    /// <summary>Has the controller write block 0 and what follows to the page; the status is in RBX, the first quadword in R12.</summary>
    static void Touch(Guest g)
    {
        var a = g.A;
        a.mov(rax, Guard);
        a.mov(__qword_ptr[(ulong)Page], rax);
        g.Call(g.Nvme.Transfer, DmaDisk.Read, 0, Layout.PageSize, rbp);
        a.mov(rbx, rax);
        a.mov(r12, __qword_ptr[(ulong)Page]);
    }

    static void Reaches(Guest g, string what)
    {
        Touch(g);
        g.Checks.Equal(rbx, 0, what + ": status");
        g.Checks.Equal(r12, __qword_ptr[(ulong)DmaDisk.Source], what + ": data");
    }

    static void Blocked(Guest g, DmaBuffers buffers, string what, bool isMapped = false)
    {
        Touch(g);
        // QEMU's controller reports success although its data went nowhere.
        g.Checks.ExceptOnTcg(() =>
        {
            g.A.test(rbx, rbx);
            g.Checks.True(When.NotEqual, what + ": the transfer fails");
        });
        g.Checks.Equal(r12, Guard, what + ": nothing is written");
        buffers.Call(UnitCall.TakeFault);
        g.Checks.Equal(rax, 1, what + ": a fault is recorded");
        buffers.ForUnit(unit => unit.CheckFault(what, rbp, isMapped));
    }
}
