using Vmm.Api.V1;
using Vmm.Control.Hosting;
using Vmm.Grpc;
using Vmm.Machine;
using Vmm.Specs.Pci;

namespace Vmm.Control.Services;

/// <summary>vmm.v1.DeviceService.</summary>
internal sealed class DeviceService(MachineRegistry machines)
{
    /// <summary>The methods.</summary>
    public MethodTable Methods => new MethodTable(DeviceReflection.Descriptor.Services[0])
        .Unary<ListDevicesRequest, ListDevicesResponse>("ListDevices", (r, c) => machines.Get(r.Machine).InvokeAsync(List, c.CancellationToken));

    static ListDevicesResponse List(VirtualMachine machine)
    {
        var response = new ListDevicesResponse { Functions = { machine.Pci.Pci.Functions.Select(Describe) } };
        response.Regions.Add(machine.Bus.Pio.Regions.Select(r => Describe(r, true)).Concat(machine.Bus.Mmio.Regions.Select(r => Describe(r, false))).Where(r => r.Reads + r.Writes != 0));
        return response;
    }

    static PciFunction Describe(Platform.Pci.PciFunction function)
    {
        ref readonly var dma = ref function.Dma.Counters;
        return new()
        {
            Bdf = function.Address.ToString(),
            Name = function.Name,
            Iommu = function.Dma.Translator?.Name ?? "",
            BusMaster = function.Dma.BusMaster,
            VendorId = function.Config.Get16(PciHeader.VendorId),
            DeviceId = function.Config.Get16(PciHeader.DeviceId),
            Dma = new()
            {
                Reads = dma.Reads, Writes = dma.Writes, BytesRead = dma.BytesRead, BytesWritten = dma.BytesWritten,
                BytesTranslated = dma.BytesTranslated, BytesBypassed = dma.BytesBypassed, Blocked = dma.Blocked,
                BlockedByIommu = dma.BlockedByTranslator, Interrupts = dma.Interrupts, PeerWrites = dma.PeerWrites,
            },
        };
    }

    static BusRegion Describe(Platform.Bus.BusRegion region, bool portSpace) => new()
    {
        Name = region.Name, PortSpace = portSpace, Start = region.Start, Length = region.Length, Reads = region.Reads, Writes = region.Writes,
    };
}
