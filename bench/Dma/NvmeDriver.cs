using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Vmm.Chipset;
using Vmm.Nvme;
using Vmm.Platform.Block;
using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Vmm.Specs.Nvme;

namespace Vmm.Bench.Dma;

/// <summary>
/// An NVMe controller on a bus and the driver of it, without a processor: rings in RAM, doorbells through the BAR, virtual
/// time that jumps to the next event, one MSI-X message for each completion. Every read's data is compared.
/// </summary>
internal sealed class NvmeDriver : IDisposable
{
    const ulong AdminSq = 0x1_0000, AdminCq = 0x1_1000, IoSq = 0x1_2000, IoCq = 0x1_3000, Buffers = 0x10_0000, Tables = 0x40_0000;
    const int Entries = 64, BufferPages = 256, Blocks = 4096, Stride = 1571;

    readonly GuestMemory memory = new(8 << 20);
    readonly SystemBus bus = new();
    readonly CountingSink sink = new();
    readonly VirtualClock clock = new();
    readonly NvmeController controller;
    readonly ulong bar;
    readonly int depth;
    readonly ulong[] wanted = new ulong[Entries];
    readonly ulong[] buffers = new ulong[Entries];
    int tail, head, phase = 1;
    uint issued;

    /// <param name="depth">Commands in flight, 1 to 63.</param>
    /// <param name="remapped">Behind a remapping unit, identity-mapped page by page.</param>
    public NvmeDriver(int depth, bool remapped)
    {
        this.depth = depth;
        var fabric = new DmaFabric(memory, bus.Mmio, sink);
        var host = new PciHost(bus, fabric);
        var address = new Bdf(0, 4, 0);
        controller = new("nvme0", address, fabric, clock, new() { Namespaces = [new(Disk(), 4096)], IoQueues = 1 });
        host.Add(controller.Function);
        host.AssignResources(PciWindows.Default);
        controller.Function.WriteConfig(4, [6, 0]);
        bar = controller.Function.Bars[0].Address;
        if (remapped)
        {
            controller.Function.Dma.Translator = Remap(address);
        }

        Faults = new(clock, fabric) { Instructions = static () => 1_000_000 };
        Start();
    }

    /// <summary>Fault rules of the controller's machine: none at first.</summary>
    public FaultPlan Faults { get; }

    /// <summary>Interrupt messages so far.</summary>
    public ulong Interrupts => sink.Delivered;

    static MemoryBlockBackend Disk()
    {
        var disk = new MemoryBlockBackend("disk", Blocks * 4096ul);
        Span<byte> bytes = stackalloc byte[8];
        for (var i = 0ul; i < Blocks; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, i + 1);
            disk.Write(i * 4096, bytes);
        }

        return disk;
    }

    Iommu.VtdUnit Remap(Bdf address)
    {
        var remapping = new Remapping(memory, sink, Tables);
        var table = remapping.Attach(address, 1);
        for (var page = AdminSq; page < Buffers + BufferPages * 4096; page += 4096)
        {
            remapping.Map(table, page, page);
        }

        remapping.Enable();
        return remapping.Unit;
    }

    void Start()
    {
        for (var vector = 0ul; vector < 2; vector++)
        {
            Store(0x2000 + vector * 16, 0xFEE0_0000, 8);
            Store(0x2008 + vector * 16, 0x40 + vector, 8);
        }

        controller.Function.WriteConfig(controller.Function.Msix!.Offset + 2, [0, 0x80]);
        Store(NvmeRegister.AQA, (Entries - 1) << 16 | Entries - 1, 4);
        Store(NvmeRegister.ASQ, AdminSq, 8);
        Store(NvmeRegister.ACQ, AdminCq, 8);
        Store(NvmeRegister.CC, 0x0046_0001, 4);
        Admin(0, new() { Cdw0 = 5, PRP1 = IoCq, Cdw10 = (Entries - 1) << 16 | 1, Cdw11 = 1 << 16 | 3 });
        Admin(1, new() { Cdw0 = 1, PRP1 = IoSq, Cdw10 = (Entries - 1) << 16 | 1, Cdw11 = 1 << 16 | 1 });
    }

    void Admin(uint slot, NvmeCommand command)
    {
        memory.TryWrite(new Gpa(AdminSq + slot * 64), command);
        Store(0x1000, slot + 1, 4);
        Pass();
        memory.TryRead(new Gpa(AdminCq + slot * 16), out NvmeCompletion entry);
        if (entry.Status >> 16 != 1)
        {
            throw new InvalidOperationException($"nvme: admin command {command.Cdw0} ended with {entry.Status:x8}");
        }

        Store(0x1004, slot + 1, 4);
    }

    /// <summary>Reads 4 KiB blocks; returns how many came back right.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int Run(int count)
    {
        int submitted = 0, completed = 0, good = 0;
        while (completed < count)
        {
            var room = Math.Min(depth - (submitted - completed), count - submitted);
            Submit(room);
            submitted += room;
            if (!Pass())
            {
                break;
            }

            var reaped = Reap(ref good);
            completed += reaped;
        }

        return good;
    }

    void Submit(int count)
    {
        if (count == 0)
        {
            return;
        }

        for (var i = 0; i < count; i++)
        {
            var block = issued * Stride % Blocks;
            buffers[tail] = Buffers + issued++ % BufferPages * 4096ul;
            wanted[tail] = block + 1ul;
            memory.TryWrite(new Gpa(IoSq + (ulong)tail * 64), new NvmeCommand { Cdw0 = 2 | (uint)tail << 16, NSID = 1, PRP1 = buffers[tail], Cdw10 = block });
            tail = (tail + 1) % Entries;
        }

        Store(0x1008, (ulong)tail, 4);
    }

    int Reap(ref int good)
    {
        var count = 0;
        while (memory.TryRead(new Gpa(IoCq + (ulong)head * 16), out NvmeCompletion entry) && (int)(entry.Status >> 16 & 1) == phase)
        {
            var slot = (int)(entry.Status & (Entries - 1));
            memory.TryRead(new Gpa(buffers[slot]), out ulong found);
            good += entry.Status >> 17 == 0 && found == wanted[slot] ? 1 : 0;
            count++;
            head = (head + 1) % Entries;
            phase ^= head == 0 ? 1 : 0;
        }

        if (count != 0)
        {
            Store(0x100C, (ulong)head, 4);
        }

        return count;
    }

    /// <summary>Lets time pass to the next event; false when there is none.</summary>
    bool Pass()
    {
        var due = clock.NextDue;
        if (due == ulong.MaxValue)
        {
            return false;
        }

        clock.Charge(due > clock.Now ? due - clock.Now : 0);
        clock.RunDue();
        return true;
    }

    void Store(ulong offset, ulong value, int width)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        bus.Mmio.Write(bar + offset, bytes[..width]);
    }

    /// <inheritdoc/>
    public void Dispose() => memory.Dispose();
}
