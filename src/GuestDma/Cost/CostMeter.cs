namespace Vmm.GuestDma.Cost;

/// <summary>Charges the layer's work by its prices.</summary>
/// <param name="ledger">Where the cycles go.</param>
/// <param name="cost">Prices.</param>
public sealed class CostMeter(CycleLedger ledger, DmaCost cost)
{
    /// <summary>Where the cycles go.</summary>
    public CycleLedger Ledger { get; } = ledger;

    /// <summary>Prices.</summary>
    public DmaCost Prices { get; } = cost;

    /// <summary>Several processors run at the same time: locks are waited for.</summary>
    public bool Contends { get; set; }

    /// <summary>Number of the processor that runs; matters while locks are waited for.</summary>
    public int Cpu { get; set; }

    /// <summary>Takes a lock; its release is in the price.</summary>
    public void Lock(Gate gate)
    {
        Wait(gate);
        Ledger.Charge(CycleCause.Lock, Prices.Lock);
    }

    /// <summary>Waits for something that serves one processor at a time, which costs nothing by itself.</summary>
    public void Wait(Gate gate)
    {
        if (!Contends)
        {
            return;
        }

        gate.Taken++;
        if (gate.FreeAt > Ledger.Now)
        {
            gate.Contended++;
            gate.Waited += gate.FreeAt - Ledger.Now;
            Ledger.Charge(CycleCause.Lock, gate.FreeAt - Ledger.Now);
        }

        if (gate.Holder >= 0 && gate.Holder != Cpu)
        {
            Ledger.Charge(CycleCause.Lock, Prices.LockHandOff);
        }

        gate.Holder = Cpu;
    }

    /// <summary>Lets the next processor in.</summary>
    public void Unlock(Gate gate) => gate.FreeAt = Contends ? Ledger.Now : 0;

    /// <summary>An atomic operation.</summary>
    public void Atomic() => Ledger.Charge(CycleCause.Lock, Prices.Atomic);

    /// <summary>Nodes of the address tree were visited.</summary>
    public void IovaNodes(int visited) => Ledger.Charge(CycleCause.IovaSearch, Prices.Node * (ulong)visited, (ulong)visited);

    /// <summary>A magazine was used.</summary>
    public void Magazine() => Ledger.Charge(CycleCause.IovaSearch, Prices.Magazine);

    /// <summary>Tables were walked and written.</summary>
    public void Tables(int levels, int entries) =>
        Ledger.Charge(CycleCause.Tables, Prices.TableLevel * (ulong)levels + Prices.TableEntry * (ulong)entries, (ulong)entries);

    /// <summary>Cache lines were flushed.</summary>
    public void CacheFlush(int lines) => Ledger.Charge(CycleCause.CacheFlush, Prices.CacheFlush * (ulong)lines, (ulong)lines);

    /// <summary>Bytes were copied.</summary>
    public void Copy(long bytes) => Ledger.Charge(CycleCause.Copy, Prices.CopyKibibyte * (ulong)bytes >> 10, (ulong)bytes);

    /// <summary>Bytes were cleared.</summary>
    public void Clear(long bytes) => Ledger.Charge(CycleCause.Copy, Prices.ClearKibibyte * (ulong)bytes >> 10, (ulong)bytes);

    /// <summary>A slot is taken or given back, under its pool's lock.</summary>
    public void Slot() => Ledger.Charge(CycleCause.Pool, Prices.Slot);

    /// <summary>Entries of a pool were looked at.</summary>
    public void PoolNodes(int visited) => Ledger.Charge(CycleCause.Pool, Prices.Node * (ulong)visited, (ulong)visited);

    /// <summary>Page addresses were compared.</summary>
    public void Compare(int pages) => Ledger.Charge(CycleCause.Pool, Prices.Compare * (ulong)pages, (ulong)pages);

    /// <summary>References were taken or put.</summary>
    public void References(int pages) => Ledger.Charge(CycleCause.PageReference, Prices.Atomic * (ulong)pages, (ulong)pages);

    /// <summary>A block of pages was allocated or freed.</summary>
    public void PageAllocation() => Ledger.Charge(CycleCause.Pool, Prices.PageAllocation);
}
