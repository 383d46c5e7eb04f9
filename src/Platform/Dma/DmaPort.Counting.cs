using Vmm.Platform.Time;

namespace Vmm.Platform.Dma;

/// <content>What was moved and what was refused.</content>
public sealed partial class DmaPort
{
    const int LineBytes = 64;

    DmaCounters counters;

    void CountRead(int length)
    {
        counters.Reads++;
        counters.BytesRead += (ulong)length;
        CountBytes(length);
    }

    void CountWrite(int length)
    {
        counters.Writes++;
        counters.BytesWritten += (ulong)length;
        CountBytes(length);
    }

    void CountBytes(int length)
    {
        fabric.Ledger?.Charge(Account, CostKind.DmaLine, (uint)(length + LineBytes - 1) / LineBytes);
        if (translator != null)
        {
            counters.BytesTranslated += (ulong)length;
        }
        else
        {
            counters.BytesBypassed += (ulong)length;
        }
    }

    bool RefuseBusMaster()
    {
        counters.BlockedByBusMaster++;
        return Refuse();
    }

    bool RefuseTranslation()
    {
        counters.BlockedByTranslator++;
        return Refuse();
    }

    bool Refuse()
    {
        counters.Blocked++;
        return false;
    }
}
