using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;

namespace Vmm.Platform.Dma;

/// <content>Interrupt messages, and the range of addresses that is theirs.</content>
public sealed partial class DmaPort
{
    /// <summary>
    /// Sends an interrupt message. One whose address is outside 0xFEEx_xxxx is an ordinary 4-byte memory write, as on the
    /// wire. False: blocked.
    /// </summary>
    public bool Raise(MsiMessage message)
    {
        if (!IsInterruptAddress(message.Address))
        {
            return TryWrite(new Iova(message.Address), message.Data);
        }

        if (!BusMaster)
        {
            return RefuseBusMaster();
        }

        if (fabric.Faults?.IsArmed(FaultPoint.Interrupt) == true && !fabric.Faults.TryPass(this, ref message, out var blocked))
        {
            return !blocked || RefuseTranslation();
        }

        return Send(message);
    }

    bool Send(MsiMessage message)
    {
        if (translator != null && !translator.TryRemap(Requester, message, out message))
        {
            return RefuseTranslation();
        }

        counters.Interrupts++;
        if (!message.IsAbsorbed)
        {
            fabric.Deliver(message);
        }

        return true;
    }

    /// <summary>
    /// Addresses 0xFEE0_0000 to 0xFEEF_FFFF: writes there are interrupt messages, decided before any translation
    /// (VT-d §3.14; SDM 3A §11.11.1).
    /// </summary>
    public static bool IsInterruptAddress(ulong address) => address >> 20 == 0xFEE;

    static bool IsInterrupt(in DmaCursor cursor, Iova address) => !cursor.HasPasid && IsInterruptAddress(address.Value);

    /// <summary>Sends a message that no rule is asked about.</summary>
    internal void RaiseUnasked(MsiMessage message)
    {
        if (BusMaster)
        {
            Send(message);
        }
    }

    /// <summary>A request to the interrupt range that is no message: the IOMMU, if there is one, records it.</summary>
    bool RefuseInterrupt(Iova address, DmaAccess access)
    {
        if (!BusMaster)
        {
            return RefuseBusMaster();
        }

        if (translator != null && !translator.TryTranslate(new(Requester, address, access), out _))
        {
            counters.BlockedByTranslator++;
        }

        return Refuse();
    }
}
