using System.Numerics;
using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Registers;
using Vmm.Platform.Snapshots;
using Vmm.Specs.Pci;

namespace Vmm.Platform.Pci;

/// <summary>MSI-X: table and pending bits in a BAR, one mask a vector (PCI 3.0 §6.8.2).</summary>
public sealed class Msix
{
    readonly RegisterFile config;
    readonly DmaPort port;
    readonly RegisterFile table;
    readonly ulong[] pending;
    readonly ulong tableOffset;
    readonly ulong pbaOffset;

    internal Msix(RegisterFile config, DmaPort port, int offset, int vectors, int bar, ulong tableOffset, ulong pbaOffset)
    {
        this.config = config;
        this.port = port;
        this.tableOffset = tableOffset;
        this.pbaOffset = pbaOffset;
        Offset = offset;
        Count = vectors;
        Bar = bar;
        pending = new ulong[(vectors + 63) / 64];
        config.Define(new("MSIX.MC", offset + MsixLayout.Control, 2, Write: 0xC000, Reset: (uint)(vectors - 1)));
        config.Define(new("MSIX.TABLE", offset + MsixLayout.Table, 4, Reset: (uint)tableOffset | (uint)bar));
        config.Define(new("MSIX.PBA", offset + MsixLayout.Pba, 4, Reset: (uint)pbaOffset | (uint)bar));
        table = new(vectors * MsixLayout.EntrySize);
        for (var i = 0; i < vectors; i++)
        {
            var at = i * MsixLayout.EntrySize;
            table.Define(new($"MSIX[{i}].ADDR", at, 8, Write: ~(UInt128)3));
            table.Define(new($"MSIX[{i}].DATA", at + 8, 4, Write: uint.MaxValue));
            table.Define(new($"MSIX[{i}].CTRL", at + 12, 4, Write: 1, Reset: 1));
        }
    }

    /// <summary>Offset of the capability.</summary>
    public int Offset { get; }

    /// <summary>Vectors in the table.</summary>
    public int Count { get; }

    /// <summary>BAR that holds the table and the pending bits.</summary>
    public int Bar { get; }

    /// <summary>MSI-X Enable.</summary>
    public bool Enabled => (config.Get16(Offset + MsixLayout.Control) & MsixLayout.Enable) != 0;

    /// <summary>The table, for inspection.</summary>
    public RegisterFile Table => table;

    bool FunctionMasked => (config.Get16(Offset + MsixLayout.Control) & MsixLayout.FunctionMask) != 0;

    /// <summary>True when the vector may not be sent now.</summary>
    public bool IsMasked(int vector) => FunctionMasked || (table.Get32(vector * MsixLayout.EntrySize + 12) & 1) != 0;

    /// <summary>True when the vector waits to be unmasked.</summary>
    public bool IsPending(int vector) => (pending[vector >> 6] >> (vector & 63) & 1) != 0;

    /// <summary>Sends a vector, or notes it as pending while it is masked. False when MSI-X is off or there is no such vector.</summary>
    public bool Raise(int vector)
    {
        if (!Enabled || (uint)vector >= (uint)Count)
        {
            return false;
        }

        if (IsMasked(vector))
        {
            pending[vector >> 6] |= 1ul << (vector & 63);
        }
        else
        {
            Send(vector);
        }

        return true;
    }

    /// <summary>Takes back a pending vector whose cause is gone.</summary>
    public void ClearPending(int vector) => pending[vector >> 6] &= ~(1ul << (vector & 63));

    /// <summary>The guest wrote the capability or the table: what is pending and no longer masked goes out.</summary>
    internal void Written()
    {
        if (!Enabled || FunctionMasked)
        {
            return;
        }

        for (var word = 0; word < pending.Length; word++)
        {
            for (var left = pending[word]; left != 0; left &= left - 1)
            {
                var vector = word * 64 + BitOperations.TrailingZeroCount(left);
                if (!IsMasked(vector))
                {
                    ClearPending(vector);
                    Send(vector);
                }
            }
        }
    }

    internal void Reset()
    {
        table.Reset();
        Array.Clear(pending);
    }

    /// <summary>True when an access of the BAR concerns the table or the pending bits.</summary>
    internal bool Covers(ulong offset) =>
        offset - tableOffset < (ulong)table.Length || offset - pbaOffset < (ulong)pending.Length * 8;

    internal IoResult Read(ulong offset, Span<byte> data)
    {
        if (offset - tableOffset < (ulong)table.Length)
        {
            return table.Read(offset - tableOffset, data) ? IoResult.Ok : IoResult.Unclaimed;
        }

        var at = offset - pbaOffset;
        if (at + (ulong)data.Length > (ulong)pending.Length * 8)
        {
            return IoResult.Unclaimed;
        }

        for (var i = 0; i < data.Length; i++, at++)
        {
            data[i] = (byte)(pending[at >> 3] >> (int)(at & 7) * 8);
        }

        return IoResult.Ok;
    }

    internal IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset - tableOffset < (ulong)table.Length && !table.Write(offset - tableOffset, data).IsInside)
        {
            return IoResult.Unclaimed;
        }

        // Writes to the pending bits have no effect.
        Written();
        return IoResult.Ok;
    }

    internal void Save(SnapshotWriter writer)
    {
        table.Save(writer);
        foreach (var word in pending)
        {
            writer.U64(word);
        }
    }

    internal void Load(SnapshotReader reader)
    {
        table.Load(reader);
        for (var i = 0; i < pending.Length; i++)
        {
            var left = Count - i * 64;
            pending[i] = reader.U64() & (left >= 64 ? ulong.MaxValue : (1ul << left) - 1);
        }
    }

    void Send(int vector)
    {
        var at = vector * MsixLayout.EntrySize;
        port.Raise(new(table.Get64(at) & ~3ul, table.Get32(at + 8)));
    }
}
