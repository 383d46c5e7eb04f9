using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Vmm.Specs.Virtio;
using Vmm.Unit.Dma;
using Vmm.VirtioIommu;
using Xunit;

namespace Vmm.Unit.VirtioIommu;

/// <summary>virtio-iommu as a translator.</summary>
public sealed class ViommuTranslatorContractTests() : TranslatorContractTests(new Bed())
{
    /// <summary>Requests go past the queues, straight to the processor.</summary>
    sealed class Bed : ITranslatorBed
    {
        readonly ViommuDevice device;

        public Bed()
        {
            device = new(new() { Bypass = false }, new(0, 1, 0), new(Memory, new SystemBus().Mmio, new RecordingSink()), new VirtualClock());
            device.AddEndpoint(Device);
            device.AddEndpoint(Neighbour);
            device.Accept((ulong)VirtioIommuFeatures.MapUnmap);
            Send(ViommuBench.AttachBytes(1, Device.Value));
            Send(ViommuBench.AttachBytes(2, Neighbour.Value));
        }

        public IDmaTranslator Translator => device;

        public GuestMemory Memory { get; } = new(16 << 20);

        public Bdf Device => new(0, 3, 0);

        public Bdf Neighbour => new(0, 4, 0);

        public ulong Faults => device.Endpoints.Aggregate(0ul, static (sum, e) => sum + e.Counters.Faults);

        public void Map(ulong iova, ulong target, bool readable, bool writable) =>
            Send(ViommuBench.MapBytes(1, iova, iova + 0xFFF, target, (readable ? 1u : 0) | (writable ? 2u : 0)));

        public void Unmap(ulong iova) => Send(ViommuBench.UnmapBytes(1, iova, iova + 0xFFF));

        public void Detach() => Send(ViommuBench.DetachBytes(1, Device.Value));

        void Send(byte[] request)
        {
            Span<byte> tail = stackalloc byte[4];
            Assert.Equal(4, device.Carry(request, tail));
            Assert.Equal((byte)VirtioIommuStatus.Ok, tail[0]);
        }

        public void Dispose() => Memory.Dispose();
    }
}
