using System.Runtime.InteropServices;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.Nvme;

namespace Vmm.GuestDma.Drivers.Nvme;

/// <summary>
/// A driver of an NVMe controller (NVMe 1.4) for one namespace: admin queue, I/O queue pairs, PRP lists. Everything the
/// controller reaches comes from the DMA API; completions are looked for in memory.
/// </summary>
public sealed class NvmeDriver
{
    const int AdminEntries = 32, CommandOffset = 4, MemoryAndMaster = 6;

    readonly IGuestView view;
    readonly ulong bar;
    readonly NvmeQueuePair admin;
    readonly NvmeQueuePair[] queues;

    /// <summary>Brings the controller up.</summary>
    /// <param name="view">The machine.</param>
    /// <param name="dma">The device's DMA API.</param>
    /// <param name="function">Where the controller is plugged in.</param>
    /// <param name="queueCount">I/O queue pairs.</param>
    /// <param name="entries">Entries of each, a power of two.</param>
    /// <param name="wait">Lets time pass until something happens; false when nothing will.</param>
    /// <exception cref="InvalidOperationException">The controller does not come up, or memory is missing.</exception>
    public NvmeDriver(IGuestView view, IDmaMapper dma, Bdf function, int queueCount, int entries, Func<bool> wait)
    {
        this.view = view;
        view.WriteConfig(function, CommandOffset, 2, MemoryAndMaster);
        bar = (ulong)view.ReadConfig(function, 0x14, 4) << 32 | view.ReadConfig(function, 0x10, 4) & ~0xFu;
        view.WriteRegister(bar + NvmeRegister.CC, 4, 0);
        var stride = 4ul << new NvmeCap(view.ReadRegister(bar + NvmeRegister.CAP, 8)).DSTRD;
        admin = new(view, dma, bar + NvmeRegister.Doorbells, stride, 0, AdminEntries);
        view.WriteRegister(bar + NvmeRegister.AQA, 4, (AdminEntries - 1) << 16 | AdminEntries - 1);
        view.WriteRegister(bar + NvmeRegister.ASQ, 8, admin.SubmissionAddress.Value);
        view.WriteRegister(bar + NvmeRegister.ACQ, 8, admin.CompletionAddress.Value);
        view.WriteRegister(bar + NvmeRegister.CC, 4, new NvmeCc { EN = true, IOSQES = 6, IOCQES = 4 }.Raw);
        if (!new NvmeCsts((uint)view.ReadRegister(bar + NvmeRegister.CSTS, 4)).RDY)
        {
            throw new InvalidOperationException("nvme: the controller does not become ready");
        }

        queues = new NvmeQueuePair[queueCount];
        for (var id = 1; id <= queueCount; id++)
        {
            var pair = queues[id - 1] = new(view, dma, bar + NvmeRegister.Doorbells, stride, id, entries);
            Admin(new() { Cdw0 = NvmeAdminOpcode.CreateCq, PRP1 = pair.CompletionAddress.Value, Cdw10 = (uint)(entries - 1) << 16 | (uint)id, Cdw11 = 1 }, wait);
            Admin(new() { Cdw0 = NvmeAdminOpcode.CreateSq, PRP1 = pair.SubmissionAddress.Value, Cdw10 = (uint)(entries - 1) << 16 | (uint)id, Cdw11 = (uint)id << 16 | 1 }, wait);
        }
    }

    /// <summary>I/O queue pairs.</summary>
    public IReadOnlyList<NvmeQueuePair> Queues => queues;

    /// <summary>Stops the controller and gives the memory of the queues back.</summary>
    public void Stop()
    {
        view.WriteRegister(bar + NvmeRegister.CC, 4, 0);
        foreach (var pair in queues)
        {
            pair.Free();
        }

        admin.Free();
    }

    void Admin(NvmeCommand command, Func<bool> wait)
    {
        admin.TrySubmit(command, default, 0);
        admin.Ring();
        NvmeDone done;
        while (!admin.TryReap(out done))
        {
            if (!wait())
            {
                throw new InvalidOperationException("nvme: an admin command does not end");
            }
        }

        admin.FinishReaping();
        if (done.Status != 0)
        {
            throw new InvalidOperationException($"nvme: admin command 0x{command.Opcode:x} ended with status 0x{done.Status:x}");
        }
    }
}
