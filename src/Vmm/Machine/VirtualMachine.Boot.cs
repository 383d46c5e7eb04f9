using Vmm.Chipset;
using Vmm.Cpu.State;
using Vmm.Firmware.Acpi;
using Vmm.Firmware.Boot;
using Vmm.Platform.Snapshots;

namespace Vmm.Machine;

/// <content>Starting an image the way firmware would.</content>
public sealed partial class VirtualMachine
{
    /// <summary>The machine's ACPI tables.</summary>
    public AcpiTables BuildAcpi() => AcpiBuilder.Build(
        new()
        {
            ApicIds = [.. Enumerable.Range(0, vcpus.Length).Select(i => (uint)i)],
            Dmar = Iommu == null ? null : new()
            {
                HostAddressWidth = (byte)Config.Vtd!.HostAddressWidth,
                InterruptRemapping = Iommu.Capabilities.Ecap.IR,
                // A unit that knows no 32-bit destinations asks the system to leave the APICs in xAPIC mode (VT-d 4.1 §8.1).
                X2ApicOptOut = Iommu.Capabilities.Ecap.IR && !Iommu.Capabilities.Ecap.EIM,
                Units = [new() { RegisterBase = VtdBase, Scopes = [DmarScope.IoApic(0, Config.Vtd.IoapicRequester)] }],
            },
            Viot = BuildViot(),
            PciRoutes = [.. PciInterruptRouter.Routes.Select(r => new AcpiPciRoute(r.Device, r.Pin, r.Gsi))],
        },
        Config.MemoryBytes);

    /// <summary>Powers on and boots files.</summary>
    /// <exception cref="Firmware.ImageException">A file cannot be read or booted.</exception>
    public void Boot(BootSource source) => Boot(source.Plan(this));

    /// <summary>Powers on, assigns PCI resources, writes the image and puts the boot processor at its entry.</summary>
    public void Boot(BootPlan plan)
    {
        PowerOn();
        Pci.AssignResources(PciWindows.Default);
        pic.EnterFirmwareState();
        apics[0].EnterVirtualWireMode();
        plan.WriteTo(Memory);
        Enter(plan.Entry);
    }

    /// <summary>
    /// Starts over from the image of the machine as it was booted, as a reset without loss of power does: time and the ledger go on, what the
    /// machine-check banks recorded stays for the next kernel to find (SDM 3B §16.3.2.2), and so do injections that wait.
    /// </summary>
    public void WarmReset(MachineImage booted)
    {
        var now = Now;
        var before = vcpus.Select(c => c.Mca?.Recorded()).ToArray();
        var injections = new SnapshotWriter();
        MachineChecks.Save(injections);
        MoveTo(now);
        var ledger = new SnapshotWriter();
        Clock.Ledger.Save(ledger);
        var rules = new SnapshotWriter();
        Faults.Save(rules);
        Restore(booted);
        for (var i = 0; i < vcpus.Length; i++)
        {
            if (before[i] is { } records)
            {
                vcpus[i].Mca!.Inherit(records);
            }
        }

        MachineChecks.Load(new(MachineChecks.SectionName, MachineChecks.SectionVersion, injections.Written.ToArray()));
        Clock.Ledger.Load(new(Clock.Ledger.SectionName, Clock.Ledger.SectionVersion, ledger.Written.ToArray()));
        booked.AsSpan().Fill(now);
        MoveTo(now);
        Faults.Load(new(Faults.SectionName, Faults.SectionVersion, rules.Written.ToArray()));
        Faults.Reset();
    }

    /// <summary>Moves all processors' time forward; what they missed they slept through.</summary>
    void MoveTo(ulong now)
    {
        machineTime = now;
        Clock.SwitchTo(now);
        foreach (var cpu in vcpus)
        {
            cpu.LocalTime = now;
            BookIdle(cpu);
        }
    }

    unsafe void Enter(CpuEntryState entry)
    {
        var s = vcpus[0].State;
        new Span<ulong>(s->Gpr, 16).Clear();
        s->Gpr[0] = entry.Rax;
        s->Gpr[2] = entry.Rdx;
        s->Gpr[3] = entry.Rbx;
        s->Gpr[4] = entry.Rsp;
        s->Gpr[6] = entry.Rsi;
        s->Rip = entry.Rip;
        Flags.Write(s, entry.Rflags);
        s->Cr0 = entry.Cr0;
        s->Cr3 = entry.Cr3;
        s->Cr4 = entry.Cr4;
        s->Efer = entry.Efer;
        s->Cs = Segment(entry.Cs);
        s->Ds = Segment(entry.Ds);
        s->Es = Segment(entry.Es);
        s->Fs = Segment(entry.Fs);
        s->Gs = Segment(entry.Gs);
        s->Ss = Segment(entry.Ss);
        s->Tr = Segment(entry.Tr);
        s->Ldtr = Segment(entry.Ldtr);
        s->GdtBase = entry.Gdt.Base;
        s->GdtLimit = entry.Gdt.Limit;
        s->IdtBase = entry.Idt.Base;
        s->IdtLimit = entry.Idt.Limit;
        s->MtrrDefType = entry.MtrrDefType;
        vcpus[0].StateChanged();
    }

    static SegmentRegister Segment(in SegmentState segment) => new()
    {
        Selector = segment.Selector, Base = segment.Base, Limit = segment.Limit, Access = segment.AccessRights,
    };
}
