using Vmm.Specs.Virtio;
using static Iced.Intel.AssemblerRegisters;
using L = Vmm.Specs.Virtio.VirtioIommuLayout;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <content>Fault reports, from the event queue.</content>
internal sealed partial class ParavirtualIommu
{
    void EmitTakeFault()
    {
        var a = g.A;
        g.WaitUntil(FaultPatience, When.NotEqual, () =>
        {
            a.movzx(eax, eventRing.As(2, 2 * Layout.PageSize + SplitLayout.Index));
            a.cmp(ax, eventSeen.As(2));
        });
        g.If(When.Equal, () =>
        {
            a.xor(eax, eax);
            g.Return();
        });
        NextEvent();
        a.mov(ecx, edx);
        a.imul(ecx, ecx, EventSize);
        a.movzx(eax, __byte_ptr[rcx + eventBuffers.Address]);
        a.mov(FaultReason, rax);
        a.mov(eax, __dword_ptr[rcx + (eventBuffers.Address + 4)]);
        a.mov(FaultFlags, rax);
        a.mov(eax, __dword_ptr[rcx + (eventBuffers.Address + 8)]);
        a.mov(FaultEndpoint, rax);
        a.mov(rax, __qword_ptr[rcx + (eventBuffers.Address + 16)]);
        a.mov(FaultAddress, rax);
        GiveBack();
        Notify(eventDoorbell, L.EventQueue);
        a.mov(eax, 1);
    }

    /// <summary>EDX: buffer of the oldest report that was not taken.</summary>
    void NextEvent()
    {
        var a = g.A;
        a.movzx(eax, eventSeen.As(1));
        a.mov(edx, __dword_ptr[rax * 8 + (eventRing.Address + 2 * Layout.PageSize + SplitLayout.Ring)]);
        a.and(edx, EventBuffers - 1);
    }

    /// <summary>Buffers of all reports go back to the device.</summary>
    void GiveBack()
    {
        var a = g.A;
        a.mov(esi, EventBuffers);
        g.Forever(end =>
        {
            a.movzx(eax, eventRing.As(2, 2 * Layout.PageSize + SplitLayout.Index));
            a.cmp(ax, eventSeen.As(2));
            a.je(end);
            NextEvent();
            a.inc(eventSeen);
            a.movzx(ecx, eventIndex.As(1));
            a.mov(__word_ptr[rcx * 2 + (eventRing.Address + Layout.PageSize + SplitLayout.Ring)], dx);
            a.inc(eventIndex);
            a.dec(esi);
            a.je(end);
        });
        a.mov(eax, eventIndex.As(4));
        a.mov(eventRing.As(2, Layout.PageSize + SplitLayout.Index), ax);
    }
}
