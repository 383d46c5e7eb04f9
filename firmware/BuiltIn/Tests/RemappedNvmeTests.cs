using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>The NVMe controller behind VT-d: queues and data by I/O virtual addresses, a remapped MSI-X, and a read to nowhere.</summary>
internal static class RemappedNvmeTests
{
    const byte Vector = 0x78;
    const int Domain = 2, NoWrite = 5;

    /// <summary>A page that is never mapped for the controller.</summary>
    const uint Unmapped = Layout.Arena + 0x8000;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g) => g.Checks.Test("vt-d nvme", $"queues and block 0 through a mapping, remapped MSI-X; a read to an unmapped page is blocked and recorded", () =>
    {
        RemappingTests.NeedUnit(g);
        g.A.cmp(g.Nvme.Base, 0);
        g.If(When.Equal, () => g.Checks.Skip("there is no NVMe controller"));
        Map(g);
        Route(g);
        g.A.mov(g.Nvme.BusOffset, (int)RemappingUnit.Offset);
        g.Call(g.Nvme.Start);
        g.Checks.Equal(rax, 1, "the controller becomes ready with its queues at I/O addresses");
        NvmeTests.Guard(g);
        NvmeTests.Identify(g);
        Read(g);
        Fault(g);
        g.Call(g.Nvme.Stop);
        g.Checks.Equal(rax, 1, "the controller stops");
    });

    static void Map(Guest g)
    {
        const uint Both = RemappingUnit.MayRead | RemappingUnit.MayWrite;
        g.Call(g.Iommu.Assign, g.Nvme.Function, Domain);
        for (var page = 0u; page < 2; page++)
        {
            RemappingTests.Map(g, g.Nvme.Submissions.Address + page * Layout.PageSize, RemappingUnit.MayRead);
            RemappingTests.Map(g, g.Nvme.Completions.Address + page * Layout.PageSize, Both);
        }

        RemappingTests.Map(g, g.Nvme.Buffer.Address, Both);
        g.Iommu.Flush();
        g.Checks.Equal(rax, 1, "invalidation");
    }

    /// <summary>The message first: the admin queue interrupts too, and a message in the old format would be a fault.</summary>
    static void Route(Guest g)
    {
        g.A.cmp(g.Iommu.InterruptsOn, 0);
        g.If(
            When.NotEqual,
            () =>
            {
                InterruptRemappingTests.SetEntry(g, InterruptRemappingTests.NvmeIndex, Vector, g.Nvme.Function);
                g.Call(g.Messages.SetMsiX, g.Nvme.Function, InterruptRemappingTests.MessageAddress(InterruptRemappingTests.NvmeIndex), 0);
            },
            () =>
            {
                g.Call(g.Messages.OwnAddress);
                g.Call(g.Messages.SetMsiX, g.Nvme.Function, rax, Vector);
            });
    }

    static void Read(Guest g)
    {
        g.Nvme.CreateQueues(interrupts: true);
        g.Checks.Equal(rax, 0, "create I/O queues: status");
        NvmeTests.Guard(g);
        g.Apic.Listen(10);
        g.A.mov(r12d, g.Faults.Counts[Vector]);
        g.A.inc(r12d);
        NvmeTests.ReadBlock(g, g.Nvme.Buffer.Address);
        g.Checks.Equal(rax, 0, "read of block 0: status");
        g.Apic.Within(100_000, Vector, r12, "MSI-X at its completion");
        NvmeTests.CheckBlock(g, "block 0 is the same as without the IOMMU");
    }

    static void Fault(Guest g)
    {
        var a = g.A;
        a.mov(edi, Unmapped);
        a.mov(eax, 0xA5A5_A5A5);
        a.mov(ecx, Layout.PageSize / 4);
        a.rep.stosd();
        NvmeTests.ReadBlock(g, Unmapped);
        a.mov(ebx, eax);
        // QEMU's controller reports success although its data went nowhere.
        g.Checks.ExceptOnTcg(() =>
        {
            a.test(ebx, ebx);
            g.Checks.True(When.NotEqual, "a read to an unmapped page fails");
        });
        a.mov(edi, Unmapped);
        a.mov(ecx, Layout.PageSize);
        NvmeTests.CheckGuard(g, "and writes nothing");
        RemappingTests.CheckFault(g, "write of an unmapped page", g.Nvme.Function, Unmapped + RemappingUnit.Offset, NoWrite, read: false);
    }
}
