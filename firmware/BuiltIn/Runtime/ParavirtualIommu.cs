using Vmm.Specs.Virtio;
using static Iced.Intel.AssemblerRegisters;
using L = Vmm.Specs.Virtio.VirtioIommuLayout;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>
/// A virtio-iommu (virtio 1.2 §5.13), driven through its request queue and its event queue. Requests wait in the ring until
/// <see cref="Sync"/> notifies the device once and waits for all of them.
/// </summary>
internal sealed partial class ParavirtualIommu
{
    const uint DeviceName = (VirtioPciCap.FirstDeviceId + L.DeviceId) << 16 | VirtioPciCap.VendorId;
    const int Entries = 256, Capacity = Entries / 2, BufferSize = 64, EventBuffers = 16, EventSize = 32;
    const int Patience = 1_000_000, FaultPatience = 20_000;
    const uint Wanted = (uint)(VirtioIommuFeatures.MapUnmap | VirtioIommuFeatures.InputRange | VirtioIommuFeatures.DomainRange);

    readonly Guest g;
    readonly VirtioTransport transport;
    readonly Variable ring, buffers, lengths, index, seen, failed, doorbell, eventRing, eventBuffers, eventIndex, eventSeen, eventDoorbell;

    /// <summary>Reserves the variables and the rings.</summary>
    public ParavirtualIommu(Guest guest)
    {
        g = guest;
        transport = new(g);
        (ring, eventRing, buffers, eventBuffers) = (g.Data.Pages(3), g.Data.Pages(3), g.Data.Pages(Capacity * BufferSize / Layout.PageSize), g.Data.Pages(1));
        (lengths, index, seen, failed, doorbell) = (g.Data.Zeroed(Capacity * 8, 8), g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64());
        (eventIndex, eventSeen, eventDoorbell) = (g.Data.U64(), g.Data.U64(), g.Data.U64());
        (Present, Granules, LastAddress, Domain) = (g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64());
        (FaultAddress, FaultEndpoint, FaultReason, FaultFlags) = (g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64());
        Request = g.Data.Zeroed(BufferSize, 4);
        (Find, Start, Add, Sync, TakeFault, Stop) = (g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine());
    }

    /// <summary>Not 0: there is one.</summary>
    public Variable Present { get; }

    /// <summary>Its PCI function.</summary>
    public Variable Function => transport.Function;

    /// <summary>page_size_mask.</summary>
    public Variable Granules { get; }

    /// <summary>Last address that can be mapped.</summary>
    public Variable LastAddress { get; }

    /// <summary>A domain number that the device accepts.</summary>
    public Variable Domain { get; }

    /// <summary>The request to add.</summary>
    public Variable Request { get; }

    /// <summary>Address of the fault taken last.</summary>
    public Variable FaultAddress { get; }

    /// <summary>Its endpoint.</summary>
    public Variable FaultEndpoint { get; }

    /// <summary>Its reason.</summary>
    public Variable FaultReason { get; }

    /// <summary>Its flags.</summary>
    public Variable FaultFlags { get; }

    /// <summary>Looks for the device on PCI.</summary>
    public Routine Find { get; }

    /// <summary>Starts it. RAX is 1 when it works and offers MAP and UNMAP.</summary>
    public Routine Start { get; }

    /// <summary>Puts <see cref="Request"/> into the ring: bytes that the device reads.</summary>
    public Routine Add { get; }

    /// <summary>Has everything in the ring carried out. RAX is 1 when all of it succeeded.</summary>
    public Routine Sync { get; }

    /// <summary>Waits shortly for a fault report and takes it, and with it all that came after it: one transfer may be reported in pieces. RAX is 0 without one.</summary>
    public Routine TakeFault { get; }

    /// <summary>Resets the device.</summary>
    public Routine Stop { get; }

    /// <summary>Emits code that starts <see cref="Request"/> with a type and the domain (§5.13.6); RAX is lost.</summary>
    public void Begin(VirtioIommuRequest type)
    {
        g.A.mov(Request, (int)type);
        g.A.mov(eax, Domain.As(4));
        g.A.mov(Request[1], eax);
    }

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        transport.Emit();
        g.Define(Find, EmitFind);
        g.Define(Start, [rbx], EmitStart);
        g.Define(Add, [rbx, r12], EmitAdd);
        g.Define(Sync, [rbx], EmitSync);
        g.Define(TakeFault, EmitTakeFault);
        g.Define(Stop, () => transport.SetStatus(VirtioStatus.None));
    }

    void EmitFind()
    {
        var a = g.A;
        g.Call(g.Pci.FindDevice, DeviceName);
        a.test(rax, rax);
        g.If(When.NotNegative, () =>
        {
            g.Call(transport.Locate, rax);
            a.mov(Present, rax);
        });
    }

    void EmitStart()
    {
        var a = g.A;
        var bad = a.CreateLabel();
        g.Call(transport.Negotiate, Wanted);
        a.test(eax, eax);
        a.je(bad);
        a.test(transport.Features, (int)VirtioIommuFeatures.MapUnmap);
        a.je(bad);
        Configuration();
        Queue(L.RequestQueue, ring, doorbell, bad);
        Queue(L.EventQueue, eventRing, eventDoorbell, bad);
        for (var i = 0; i < EventBuffers; i++)
        {
            Describe(eventRing, i, (uint)(eventBuffers.Address + i * EventSize), L.FaultSize, DescriptorFlags.Write);
            a.mov(eventRing.As(2, (uint)(Layout.PageSize + SplitLayout.Ring + i * SplitLayout.AvailableEntry)), (short)i);
        }

        a.mov(eventIndex, EventBuffers);
        a.mov(eventRing.As(2, Layout.PageSize + SplitLayout.Index), EventBuffers);
        transport.SetStatus(VirtioStatus.Acknowledge | VirtioStatus.Driver | VirtioStatus.FeaturesOk | VirtioStatus.DriverOk);
        Notify(eventDoorbell, L.EventQueue);
        a.mov(eax, 1);
        g.Return();
        g.Place(bad);
        a.xor(eax, eax);
    }

    void Configuration()
    {
        var a = g.A;
        a.mov(rcx, transport.Device);
        a.mov(rax, __qword_ptr[rcx + L.PageSizeMask]);
        a.mov(Granules, rax);
        a.mov(LastAddress, -1);
        g.Tally.Count(Tallied.Access);
        a.test(transport.Features, (int)VirtioIommuFeatures.InputRange);
        g.If(When.NotEqual, () =>
        {
            a.mov(rax, __qword_ptr[rcx + L.InputEnd]);
            a.mov(LastAddress, rax);
            g.Tally.Count(Tallied.Access);
        });
        a.test(transport.Features, (int)VirtioIommuFeatures.DomainRange);
        g.If(When.NotEqual, () =>
        {
            a.mov(eax, __dword_ptr[rcx + L.DomainStart]);
            a.mov(Domain, rax);
            g.Tally.Count(Tallied.Access);
        });
    }

    /// <summary>Sets a queue up; its completions are looked for, not signalled.</summary>
    void Queue(int number, Variable pages, Variable bell, Iced.Intel.Label bad)
    {
        var a = g.A;
        a.mov(pages.As(2, Layout.PageSize + SplitLayout.Flags), SplitLayout.Suppress);
        g.Call(transport.EnableQueue, number, Entries, pages.Address);
        a.mov(bell, rax);
        a.test(rax, rax);
        a.je(bad);
    }

    void Describe(Variable pages, int at, uint address, int length, ushort flags)
    {
        var descriptor = pages.As(4, (uint)(at * SplitDescriptor.Size));
        g.A.mov(descriptor, address);
        g.A.mov(descriptor[1], 0);
        g.A.mov(descriptor[2], length);
        g.A.mov(descriptor[3], (uint)flags);
    }

    void Notify(Variable bell, ushort queue)
    {
        g.A.mov(rcx, bell);
        g.A.mov(__word_ptr[rcx], queue);
        g.Tally.Count(Tallied.Access);
    }

    void EmitAdd()
    {
        var a = g.A;
        a.mov(ebx, edi);
        a.mov(rax, index);
        a.sub(rax, seen);
        a.cmp(rax, Capacity);
        g.If(When.Equal, () =>
        {
            a.call(Sync.Label);
            a.xor(eax, 1);
            a.or(failed, rax);
        });
        g.Tally.Count(Tallied.Command);
        // R12: the request's slot.
        a.mov(r12, index);
        a.and(r12d, Capacity - 1);
        a.mov(lengths.At(r12), rbx);
        a.mov(rdi, r12);
        a.imul(rdi, rdi, BufferSize);
        a.add(rdi, (int)buffers.Address);
        a.mov(rdx, rdi);
        a.mov(esi, Request.Address);
        a.mov(ecx, BufferSize / 8);
        a.rep.movsq();
        a.mov(__dword_ptr[rdx + rbx], 0xFF);
        Link(r12);
        a.mov(rax, index);
        a.movzx(ecx, al);
        a.lea(edx, __[r12 + r12]);
        a.mov(__word_ptr[rcx * 2 + (ring.Address + Layout.PageSize + SplitLayout.Ring)], dx);
        a.inc(index);
    }

    /// <summary>Two descriptors: RBX bytes at RDX that the device reads, and the tail behind them that it writes.</summary>
    void Link(Iced.Intel.AssemblerRegister64 slot)
    {
        var a = g.A;
        a.mov(rax, slot);
        a.shl(rax, 5);
        a.mov(__qword_ptr[rax + ring.Address], rdx);
        a.mov(__dword_ptr[rax + (ring.Address + 8)], ebx);
        a.lea(ecx, __[slot + slot + 1]);
        a.shl(ecx, 16);
        a.or(ecx, DescriptorFlags.Next);
        a.mov(__dword_ptr[rax + (ring.Address + 12)], ecx);
        a.add(rdx, rbx);
        a.mov(__qword_ptr[rax + (ring.Address + 16)], rdx);
        a.mov(__dword_ptr[rax + (ring.Address + 24)], L.TailSize);
        a.mov(__dword_ptr[rax + (ring.Address + 28)], (uint)DescriptorFlags.Write);
    }

    void EmitSync()
    {
        var a = g.A;
        a.mov(rax, index);
        a.cmp(rax, seen);
        g.If(When.Equal, Report);
        a.mov(ring.As(2, Layout.PageSize + SplitLayout.Index), ax);
        a.mfence();
        a.test(ring.As(2, 2 * Layout.PageSize + SplitLayout.Flags), SplitLayout.Suppress);
        g.If(When.Equal, () => Notify(doorbell, L.RequestQueue));
        g.Tally.Count(Tallied.Wait);
        g.WaitUntil(Patience, When.Equal, () =>
        {
            a.movzx(eax, ring.As(2, 2 * Layout.PageSize + SplitLayout.Index));
            a.cmp(ax, index.As(2));
        });
        g.If(When.Equal, () =>
        {
            a.xor(eax, eax);
            g.Return();
        });
        g.Forever(end =>
        {
            a.mov(rax, seen);
            a.cmp(rax, index);
            a.je(end);
            a.movzx(ecx, al);
            a.mov(ecx, __dword_ptr[rcx * 8 + (ring.Address + 2 * Layout.PageSize + SplitLayout.Ring)]);
            a.shr(ecx, 1);
            a.and(ecx, Capacity - 1);
            a.mov(rdx, lengths.At(rcx));
            a.imul(ecx, ecx, BufferSize);
            a.movzx(eax, __byte_ptr[rcx + rdx + buffers.Address]);
            a.or(failed, rax);
            a.inc(seen);
        });
        Report();
    }

    /// <summary>RAX: nothing failed since the last call.</summary>
    void Report()
    {
        var a = g.A;
        a.mov(rcx, failed);
        a.mov(failed, 0);
        a.xor(eax, eax);
        a.test(rcx, rcx);
        g.If(When.Equal, () => a.inc(eax));
        g.Return();
    }
}
