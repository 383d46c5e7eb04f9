using Vmm.Specs.Pci;
using Vmm.Specs.Virtio;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>A virtio device on PCI (virtio 1.2 §4.1): its structures are found by its capabilities.</summary>
internal sealed class VirtioTransport
{
    const int VendorSpecific = 9, LongestCapabilityList = 48, LastBar = 5;
    const int Patience = 100_000;

    readonly Guest g;
    readonly Variable common, notify, multiplier;

    /// <summary>Reserves the variables.</summary>
    public VirtioTransport(Guest guest)
    {
        g = guest;
        (Function, common, notify, multiplier) = (g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64());
        (Device, Features) = (g.Data.U64(), g.Data.U64());
        (Locate, Negotiate, EnableQueue) = (g.NewRoutine(), g.NewRoutine(), g.NewRoutine());
    }

    /// <summary>Its PCI function.</summary>
    public Variable Function { get; }

    /// <summary>Address of the device's own configuration.</summary>
    public Variable Device { get; }

    /// <summary>Features agreed on, low half.</summary>
    public Variable Features { get; }

    /// <summary>Takes a function and finds its structures: function. RAX is 1 when all are there.</summary>
    public Routine Locate { get; }

    /// <summary>Resets the device and agrees on features (§3.1.1): low half of those wanted. RAX is 1 when the device accepts them.</summary>
    public Routine Negotiate { get; }

    /// <summary>Enables a split queue: number, entries, address of three pages for descriptors, available and used ring. RAX is where to notify, or 0 when the device has fewer entries.</summary>
    public Routine EnableQueue { get; }

    /// <summary>Emits code that sets the device status; 0 resets.</summary>
    public void SetStatus(VirtioStatus status)
    {
        g.A.mov(rcx, common);
        g.A.mov(__byte_ptr[rcx + VirtioCommon.DeviceStatus], (byte)status);
        g.Tally.Count(Tallied.Access);
    }

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(Locate, [rbx, rbp, r12, r13, r14, r15], EmitLocate);
        g.Define(Negotiate, [rbx], EmitNegotiate);
        g.Define(EnableQueue, EmitEnableQueue);
    }

    void EmitLocate()
    {
        var a = g.A;
        a.mov(rbx, rdi);
        a.mov(Function, rbx);
        g.Call(g.Pci.Enable, rbx);
        a.mov(ebp, LongestCapabilityList);
        g.Call(g.Pci.Read, rbx, PciHeader.CapabilitiesPointer);
        g.Forever(end =>
        {
            var next = a.CreateLabel();
            a.movzx(r12d, al);
            a.and(r12d, 0xFC);
            a.je(end);
            g.Call(g.Pci.Read, rbx, r12);
            a.mov(r13d, eax);
            a.cmp(al, VendorSpecific);
            a.jne(next);
            a.lea(r14, __[r12 + VirtioPciCap.Bar]);
            g.Call(g.Pci.Read, rbx, r14);
            a.movzx(r14d, al);
            a.cmp(r14d, LastBar);
            a.ja(next);
            a.lea(r15, __[r12 + VirtioPciCap.Offset]);
            g.Call(g.Pci.Read, rbx, r15);
            a.mov(r15d, eax);
            g.Call(g.Pci.Bar, rbx, r14);
            a.add(r15, rax);
            a.mov(r14d, r13d);
            a.shr(r14d, 24);
            Note(VirtioPciCap.Common, common);
            Note(VirtioPciCap.Device, Device);
            Note(VirtioPciCap.Notify, notify, () =>
            {
                a.lea(r14, __[r12 + VirtioPciCap.Extra]);
                g.Call(g.Pci.Read, rbx, r14);
                a.mov(multiplier, rax);
            });
            g.Place(next);
            a.mov(eax, r13d);
            a.shr(eax, 8);
            a.dec(ebp);
            a.je(end);
        });
        a.xor(eax, eax);
        foreach (var found in (Variable[])[common, notify, Device])
        {
            a.cmp(found, 0);
            g.If(When.Equal, g.Return);
        }

        a.inc(eax);
    }

    /// <summary>The structure of type R14 is at R15: the first of each type counts (§4.1.4.1).</summary>
    void Note(byte type, Variable structure, Action? more = null)
    {
        var a = g.A;
        var other = a.CreateLabel();
        a.cmp(r14d, type);
        a.jne(other);
        a.cmp(structure, 0);
        a.jne(other);
        a.mov(structure, r15);
        g.Call(g.Pages.MapDevice, r15);
        more?.Invoke();
        g.Place(other);
    }

    void EmitNegotiate()
    {
        var a = g.A;
        a.mov(ebx, edi);
        SetStatus(VirtioStatus.None);
        g.WaitUntil(Patience, When.Equal, () =>
        {
            g.Tally.Count(Tallied.Access);
            a.mov(rcx, common);
            a.cmp(__byte_ptr[rcx + VirtioCommon.DeviceStatus], 0);
        });
        SetStatus(VirtioStatus.Acknowledge);
        SetStatus(VirtioStatus.Acknowledge | VirtioStatus.Driver);
        Agree(0, () => a.and(eax, ebx));
        a.mov(Features, rax);
        Agree(1, () => a.and(eax, (int)(VirtioFeature.Version1 >> 32)));
        SetStatus(VirtioStatus.Acknowledge | VirtioStatus.Driver | VirtioStatus.FeaturesOk);
        a.mov(rcx, common);
        a.movzx(eax, __byte_ptr[rcx + VirtioCommon.DeviceStatus]);
        g.Tally.Count(Tallied.Access);
        a.shr(eax, 3);
        a.and(eax, 1);
    }

    /// <summary>Accepts those of 32 features that the code wants.</summary>
    void Agree(int half, Action wanted)
    {
        var a = g.A;
        a.mov(rcx, common);
        a.mov(__dword_ptr[rcx + VirtioCommon.DeviceFeatureSelect], half);
        a.mov(eax, __dword_ptr[rcx + VirtioCommon.DeviceFeature]);
        wanted();
        a.mov(__dword_ptr[rcx + VirtioCommon.DriverFeatureSelect], half);
        a.mov(__dword_ptr[rcx + VirtioCommon.DriverFeature], eax);
        g.Tally.Count(Tallied.Access, 4);
    }

    void EmitEnableQueue()
    {
        var a = g.A;
        a.mov(rcx, common);
        a.mov(__word_ptr[rcx + VirtioCommon.QueueSelect], di);
        a.movzx(eax, __word_ptr[rcx + VirtioCommon.QueueSize]);
        g.Tally.Count(Tallied.Access, 2);
        a.cmp(eax, esi);
        g.If(When.Below, () =>
        {
            a.xor(eax, eax);
            g.Return();
        });
        a.mov(__word_ptr[rcx + VirtioCommon.QueueSize], si);
        foreach (var register in (int[])[VirtioCommon.QueueDesc, VirtioCommon.QueueDriver, VirtioCommon.QueueDevice])
        {
            // 64-bit fields may have to be written in halves (§4.1.3.1).
            a.mov(__dword_ptr[rcx + register], edx);
            a.mov(__dword_ptr[rcx + register + 4], 0);
            a.add(edx, (int)Layout.PageSize);
        }

        a.mov(__word_ptr[rcx + VirtioCommon.QueueEnable], 1);
        a.movzx(eax, __word_ptr[rcx + VirtioCommon.QueueNotifyOff]);
        g.Tally.Count(Tallied.Access, 9);
        a.imul(rax, multiplier);
        a.add(rax, notify);
    }
}
