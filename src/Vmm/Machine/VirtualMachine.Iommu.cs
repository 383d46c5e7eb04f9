using Vmm.Chipset;
using Vmm.Firmware.Acpi;
using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Pci;
using Vmm.Virtio;
using Vmm.VirtioIommu;

namespace Vmm.Machine;

/// <content>The IOMMU in front of the devices: VT-d, virtio-iommu or none.</content>
public sealed partial class VirtualMachine
{
    const int ViommuSlot = 1;

    readonly List<Bdf> behindIommu = [];

    /// <summary>The VT-d unit, or null.</summary>
    public VtdUnit? Iommu { get; private set; }

    /// <summary>The virtio-iommu, or null.</summary>
    public ViommuDevice? VirtioIommu { get; private set; }

    void AddVtd(VtdOptions options)
    {
        Iommu = Add(new VtdUnit(options, Memory, apicBus, Clock) { Faults = Faults }, v => v.Reset());
        Bus.Mmio.Map(Iommu.Name, VtdBase, VtdUnit.WindowSize, Iommu);
        ioApic.Output = new IoApicPort(new(dma, options.IoapicRequester) { Translator = Iommu });
    }

    void AddViommu(VirtioIommuOptions options)
    {
        var device = new ViommuDevice(options, new Bdf(0, ViommuSlot, 0), dma, Clock);
        VirtioIommu = device;
        Plug(device.Transport.Function, false);
        Add(device.Transport, _ => device.PowerOn());
    }

    void Plug(PciFunction function, bool isBehindIommu)
    {
        Pci.Add(function);
        Add(function, _ => { });
        if (isBehindIommu)
        {
            behindIommu.Add(function.Address);
            VirtioIommu?.AddEndpoint(function.Address);
            function.Dma.Translator = (IDmaTranslator?)VirtioIommu ?? Iommu;
        }
    }

    /// <summary>
    /// A virtio device without VIRTIO_F_ACCESS_PLATFORM bypasses the IOMMU with its DMA, but not VT-d with its interrupts.
    /// </summary>
    void PlugVirtio(VirtioPci device)
    {
        Plug(device.Function, VirtioIommu == null || !device.BypassesIommu);
        if (device.BypassesIommu && device.Function.Dma.Translator is { } unit)
        {
            device.Function.Dma.Translator = new InterruptsOnly(unit);
        }
    }

    /// <summary>One VIOT range for each run of neighbouring slots; endpoint ids are requester ids.</summary>
    ViotConfig? BuildViot()
    {
        if (VirtioIommu == null || behindIommu.Count == 0)
        {
            return null;
        }

        var ranges = new List<ViotRange>();
        foreach (var first in behindIommu.OrderBy(static b => b.Value).Select(static b => new Bdf(b.Bus, b.Device, 0)).Distinct())
        {
            var last = new Bdf(first.Bus, first.Device, 7);
            if (ranges.Count != 0 && ranges[^1].Last.Value + 1 == first.Value)
            {
                ranges[^1] = ranges[^1] with { Last = last };
            }
            else
            {
                ranges.Add(new(first, last, first.Value));
            }
        }

        return new(VirtioIommu.Transport.Function.Address, ranges);
    }

    /// <summary>The I/O APIC's messages pass the interrupt remapper under the I/O APIC's own requester id.</summary>
    sealed class IoApicPort(DmaPort port) : IInterruptSink
    {
        public void Deliver(MsiMessage message) => port.Raise(message);
    }

    /// <summary>Leaves addresses as they are and interrupts to the unit.</summary>
    sealed class InterruptsOnly(IDmaTranslator unit) : IDmaTranslator
    {
        public string Name => unit.Name;

        public uint Generation => 0;

        public bool TryTranslate(in DmaRequest request, out DmaWindow window)
        {
            window = new(new(request.Address.Value), 4096 - (ulong)request.Address.PageOffset, true, true);
            return true;
        }

        public bool TryRemap(Bdf requester, MsiMessage message, out MsiMessage remapped) => unit.TryRemap(requester, message, out remapped);

        public InjectedFault InjectFault(in DmaRequest request, uint reason, uint level) => new(false, "the device bypasses the unit");

        public InjectedFault InjectRemapFault(Bdf requester, MsiMessage message, uint reason) => unit.InjectRemapFault(requester, message, reason);
    }
}
