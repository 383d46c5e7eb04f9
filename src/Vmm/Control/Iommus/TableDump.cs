using Vmm.Api.V1;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;

namespace Vmm.Control.Iommus;

/// <summary>All mappings of one device in parts: it goes on where it stopped, so that a machine is held only for one part at a time.</summary>
internal sealed class TableDump(DmaRequest request, ulong limit)
{
    /// <summary>Steps for one part.</summary>
    const int StepsPerPart = 8192;

    ulong at = request.Address.Value & ~0xFFFul, left = limit;

    /// <summary>Nothing is left, or the limit is reached.</summary>
    public bool IsDone { get; private set; }

    /// <summary>The next part.</summary>
    public DumpTablesResponse Next(IIommuView unit, int most)
    {
        var part = new DumpTablesResponse();
        for (var steps = 0; steps < StepsPerPart && !IsDone && part.Mappings.Count < most; steps++)
        {
            if (left == 0)
            {
                part.NextIova = at;
                IsDone = true;
                break;
            }

            var (mapping, next) = unit.Step(request with { Address = new Iova(at), Access = DmaAccess.Read });
            if (mapping != null)
            {
                Add(part, mapping);
            }

            IsDone = next <= at;
            at = next;
        }

        return part;
    }

    void Add(DumpTablesResponse part, IommuMapping mapping)
    {
        var last = part.Mappings.Count == 0 ? null : part.Mappings[^1];
        if (last != null && last.Iova + last.Length == mapping.Iova && last.Address + last.Length == mapping.Address && last.Readable == mapping.Readable && last.Writable == mapping.Writable)
        {
            last.Length += mapping.Length;
        }
        else
        {
            part.Mappings.Add(mapping);
            left--;
        }
    }
}
