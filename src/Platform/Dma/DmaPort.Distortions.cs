using Vmm.Platform.Memory;

namespace Vmm.Platform.Dma;

/// <content>Transfers as fault rules distort them: late, or as somebody else, and no rule is asked about them.</content>
public sealed partial class DmaPort
{
    /// <summary>Writes late: within one page, translated now, and no rule is asked about the transfer.</summary>
    internal void WriteUnasked(uint? pasid, Iova address, ReadOnlySpan<byte> source)
    {
        var cursor = CursorFor(pasid);
        WritePiece(ref cursor, address, source);
    }

    /// <summary>Reads late. Nobody takes the bytes; what matters is the request.</summary>
    internal void ReadUnasked(uint? pasid, Iova address, int length)
    {
        var cursor = CursorFor(pasid);
        ReadPiece(ref cursor, address, new byte[length]);
    }

    /// <summary>Counts a read that nobody answered. Always false.</summary>
    internal bool RefuseUnanswered() => Refuse();

    /// <summary>Reads under some requester id, past everything that is kept. False: blocked.</summary>
    internal bool ReadAs(Bdf requester, uint? pasid, Iova address, Span<byte> destination)
    {
        while (destination.Length > 0)
        {
            var piece = destination[..PieceLength(address, destination.Length)];
            if (!TryTranslateAs(requester, pasid, address, DmaAccess.Read, out var target) || IsPoisoned(target, PoisonAccess.DmaRead) ||
                !fabric.Memory.TryRead(target, piece) && !RefusePeerRead(target, piece.Length))
            {
                return false;
            }

            CountRead(piece.Length);
            address += (ulong)piece.Length;
            destination = destination[piece.Length..];
        }

        return true;
    }

    /// <summary>Writes under some requester id, past everything that is kept. False: blocked.</summary>
    internal bool WriteAs(Bdf requester, uint? pasid, Iova address, ReadOnlySpan<byte> source)
    {
        while (source.Length > 0)
        {
            var piece = source[..PieceLength(address, source.Length)];
            if (!TryTranslateAs(requester, pasid, address, DmaAccess.Write, out var target) || IsPoisoned(target, PoisonAccess.DmaWrite) ||
                !fabric.Memory.TryWrite(target, piece) && !TryWritePeer(target, piece))
            {
                return false;
            }

            CountWrite(piece.Length);
            address += (ulong)piece.Length;
            source = source[piece.Length..];
        }

        return true;
    }

    static DmaCursor CursorFor(uint? pasid) => pasid is { } number ? new(number) : default;

    bool TryTranslateAs(Bdf requester, uint? pasid, Iova address, DmaAccess access, out Gpa target)
    {
        target = new(address.Value);
        if (!BusMaster)
        {
            return RefuseBusMaster();
        }

        if (pasid == null && IsInterruptAddress(address.Value))
        {
            return Refuse();
        }

        if (translator == null)
        {
            return true;
        }

        counters.Translations++;
        if (!translator.TryTranslate(new(requester, address, access, pasid ?? 0, pasid != null), out var window))
        {
            return RefuseTranslation();
        }

        target = window.Address;
        return !IsInterruptAddress(target.Value) || Refuse();
    }
}
