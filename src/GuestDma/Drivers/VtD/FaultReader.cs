using Vmm.GuestDma.Faults;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Dma;
using Vmm.Specs.VtD;

namespace Vmm.GuestDma.Drivers.VtD;

/// <summary>
/// Primary faults from the driver's side (VT-d §7.2.1, §7.3.1): an interrupt says that there are some; records are read from the
/// first pending one on and given back one by one, and an overflow is cleared last, so that none is overlooked.
/// </summary>
sealed class FaultReader(IGuestView view, ulong registers, Cap cap)
{
    /// <summary>Vector of the fault event. Processor 0 takes it.</summary>
    public const byte Vector = 0x60;

    const ulong InterruptAddress = 0xFEE0_0000;

    /// <summary>More records than all registers hold can come while they are read; then the next interrupt goes on.</summary>
    const int MostRounds = 4;

    public FaultReports Reports { get; } = new();

    /// <summary>The event came and was not handled yet.</summary>
    public bool IsPending => view.IsInterruptPending(Vector);

    /// <summary>Programs the event and unmasks it (VT-d §11.4.7.2 to §11.4.7.5).</summary>
    public void Enable()
    {
        view.WriteRegister(registers + VtdRegister.FEDATA, 4, Vector);
        view.WriteRegister(registers + VtdRegister.FEADDR, 4, InterruptAddress);
        view.WriteRegister(registers + VtdRegister.FEADDR + 4, 4, InterruptAddress >> 32);
        view.WriteRegister(registers + VtdRegister.FECTL, 4, 0);
    }

    /// <summary>Reads and clears all records; returns how many faults were reported.</summary>
    public int Handle()
    {
        view.AcknowledgeInterrupt(Vector);
        var count = 0;
        for (var round = 0; round < MostRounds; round++)
        {
            var status = new Fsts((uint)view.ReadRegister(registers + VtdRegister.FSTS, 4));
            if ((status.Raw & (Fsts.PPF | Fsts.PFO)) == 0)
            {
                break;
            }

            count += (status.Raw & Fsts.PPF) != 0 ? HandleFrom(status.FRI) : 0;
            if ((status.Raw & Fsts.PFO) != 0)
            {
                Reports.AddOverflow();
                view.WriteRegister(registers + VtdRegister.FSTS, 4, Fsts.PFO);
            }
        }

        return count;
    }

    int HandleFrom(int first)
    {
        var records = cap.NFR + 1;
        var count = 0;
        for (var at = first % records; count < records; at = (at + 1) % records)
        {
            var register = registers + (ulong)(cap.FRO * 16 + at * 16);
            var record = new FaultRecord(view.ReadRegister(register + 8, 8), view.ReadRegister(register, 8));
            if (!record.F)
            {
                break;
            }

            // F is cleared by writing 1; only then can the unit use the register again.
            view.WriteRegister(register + 12, 4, 1u << 31);
            Reports.Add(new(new Bdf(record.SID), record.Page, record.Type != FaultedRequest.Read, KindOf(record.FR), (byte)record.FR));
            count++;
        }

        return count;
    }

    static BlockCause KindOf(FaultReason reason) => reason switch
    {
        FaultReason.NoReadPermission or FaultReason.NoWritePermission => BlockCause.Mapping,
        FaultReason.AddressBeyondWidth => BlockCause.Range,
        FaultReason.RootNotPresent or FaultReason.ContextNotPresent => BlockCause.Device,
        _ => BlockCause.Other,
    };
}
