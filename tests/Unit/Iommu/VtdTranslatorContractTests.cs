using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Unit.Dma;

namespace Vmm.Unit.Iommu;

/// <summary>VT-d in legacy mode as a translator.</summary>
public sealed class VtdTranslatorContractTests() : TranslatorContractTests(new Bed())
{
    sealed class Bed : ITranslatorBed
    {
        readonly VtdBench bench = new();
        readonly ulong table;

        public Bed()
        {
            table = bench.AttachLegacy(Device, 1);
            bench.AttachLegacy(Neighbour, 2);
            bench.EnableLegacy();
            bench.EnableQueue();
        }

        public IDmaTranslator Translator => bench.Unit;

        public GuestMemory Memory => bench.Memory;

        public Bdf Device => new(0, 3, 0);

        public Bdf Neighbour => new(0, 4, 0);

        public ulong Faults => bench.Unit.Counters.Device(Device).Faults + bench.Unit.Counters.Device(Neighbour).Faults;

        public void Map(ulong iova, ulong target, bool readable, bool writable) =>
            bench.Map(table, iova, target | (readable ? 1ul : 0) | (writable ? 2ul : 0));

        public void Unmap(ulong iova)
        {
            bench.Map(table, iova, 0);
            bench.Submit(0x02 | 3 << 4 | 1 << 16, iova);
        }

        public void Detach()
        {
            bench.SetLegacy(Device, 0, 0);
            bench.FlushAll();
        }

        public void Dispose() => bench.Dispose();
    }
}
