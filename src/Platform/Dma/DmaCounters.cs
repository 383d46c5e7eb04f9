namespace Vmm.Platform.Dma;

/// <summary>What one device did on its port since the machine was built.</summary>
public struct DmaCounters
{
    /// <summary>Read transactions carried out; a transfer is one transaction for each 4 KiB page it touches.</summary>
    public ulong Reads;

    /// <summary>Write transactions carried out, interrupt messages not counted.</summary>
    public ulong Writes;

    /// <summary>Bytes read.</summary>
    public ulong BytesRead;

    /// <summary>Bytes written.</summary>
    public ulong BytesWritten;

    /// <summary>Bytes, of those read and written, whose address an IOMMU had translated.</summary>
    public ulong BytesTranslated;

    /// <summary>Bytes, of those read and written, that went past without any IOMMU.</summary>
    public ulong BytesBypassed;

    /// <summary>Transactions and messages that were refused, by whomever.</summary>
    public ulong Blocked;

    /// <summary>Of <see cref="Blocked"/>: refused because the function may not master the bus.</summary>
    public ulong BlockedByBusMaster;

    /// <summary>Of <see cref="Blocked"/>: refused by the IOMMU.</summary>
    public ulong BlockedByTranslator;

    /// <summary>Of <see cref="Blocked"/>: reads of poisoned memory.</summary>
    public ulong BlockedByPoison;

    /// <summary>Of <see cref="Blocked"/>: aimed at the device's own BARs.</summary>
    public ulong BlockedOwnBar;

    /// <summary>Writes handed over to the MMIO of another device.</summary>
    public ulong PeerWrites;

    /// <summary>Interrupt messages delivered.</summary>
    public ulong Interrupts;

    /// <summary>Transactions whose translation was kept from an earlier one, in a <see cref="DmaCursor"/> or in the port's pages.</summary>
    public ulong KeptTranslations;

    /// <summary>Calls of the translator; the rest was answered by a <see cref="DmaCursor"/> or by the port's pages.</summary>
    public ulong Translations;
}
