using Vmm.Api.V1;
using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.VtD;

namespace Vmm.Control.Services;

/// <summary>
/// All mappings of one device, found by explaining one address after the other and skipping what an absent entry spans.
/// Goes on where it stopped, so that a machine is held only for a part at a time.
/// </summary>
internal sealed class TableDump(DmaRequest request, ulong limit)
{
    /// <summary>Addresses explained for one part.</summary>
    const int StepsPerPart = 8192;

    ulong at = request.Address.Value & ~0xFFFul, left = limit;

    /// <summary>Nothing is left, or the limit is reached.</summary>
    public bool IsDone { get; private set; }

    /// <summary>The next part.</summary>
    public DumpTablesResponse Next(VtdUnit unit, int most)
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

            Step(unit, part);
        }

        return part;
    }

    void Step(VtdUnit unit, DumpTablesResponse part)
    {
        var report = unit.Explain(request with { Address = new Iova(at), Access = DmaAccess.Read });
        if (report.Fault is FaultReason.NoReadPermission or FaultReason.SmNoReadPermission)
        {
            report = unit.Explain(request with { Address = new Iova(at), Access = DmaAccess.Write });
        }

        if (report.Fault == FaultReason.None)
        {
            Add(part, report);
            return;
        }

        var level = report.Steps.Count == 0 ? 0 : report.Steps[^1].Level;
        if (level == 0)
        {
            // No page tables at all, the end of the address width, or the interrupt range.
            if (DmaPort.IsInterruptAddress(at))
            {
                at = (at | 0xF_FFFF) + 1;
            }
            else
            {
                IsDone = true;
            }

            return;
        }

        Advance(1ul << (12 + 9 * (level - 1)));
    }

    void Add(DumpTablesResponse part, WalkReport report)
    {
        var window = report.Window;
        var last = part.Mappings.Count == 0 ? null : part.Mappings[^1];
        if (last != null && last.Iova + last.Length == at && last.Address + last.Length == window.Address.Value && last.Readable == window.Readable && last.Writable == window.Writable)
        {
            last.Length += window.Length;
        }
        else
        {
            part.Mappings.Add(new IommuMapping
            {
                Iova = at, Address = window.Address.Value, Length = window.Length, Readable = window.Readable, Writable = window.Writable,
            });
            left--;
        }

        if (report.IsPassThrough)
        {
            IsDone = true;
            return;
        }

        var next = at + window.Length;
        IsDone = next <= at;
        at = next;
    }

    /// <summary>To the next multiple of what an entry spans.</summary>
    void Advance(ulong span)
    {
        var next = (at | (span - 1)) + 1;
        IsDone = next == 0;
        at = next;
    }
}
