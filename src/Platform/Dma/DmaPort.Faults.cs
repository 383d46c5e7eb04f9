using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;

namespace Vmm.Platform.Dma;

/// <content>What fault rules need of a port.</content>
public sealed partial class DmaPort
{
    /// <summary>
    /// Opcode of the command whose data the device moves now, for rules that name one: of the admin queue with 0x100 added;
    /// null while it moves anything else.
    /// </summary>
    public uint? Opcode { get; set; }

    FaultBounds transferBounds, translationBounds;

    /// <summary>True when a rule may concern a transfer, or one that is held back waits for it.</summary>
    bool IsWatched(Iova address, int length) => watched && transferBounds.Covers(address.Value, length, Opcode);

    /// <summary>Rules were armed or disarmed, or bus mastering changed.</summary>
    internal void FaultsChanged()
    {
        var faults = fabric.Faults;
        watched = faults?.WatchesTransfersOf(Requester) == true;
        open = busMaster && faults?.IsArmedFor(FaultPoint.Translation, Requester) != true;
        transferBounds = watched ? faults!.BoundsOf(FaultPoint.Transfer, Requester) : default;
        translationBounds = open ? default : faults?.BoundsOf(FaultPoint.Translation, Requester) ?? default;
    }

    /// <summary>Sends a message that no rule is asked about.</summary>
    internal void RaiseUnasked(MsiMessage message)
    {
        if (busMaster)
        {
            Send(message);
        }
    }

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
        if (!busMaster)
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

    /// <summary>True when the function may not master the bus, or a rule blocks the request before it is translated.</summary>
    bool IsStopped(in DmaCursor cursor, Iova address, DmaAccess access)
    {
        if (!busMaster)
        {
            return !RefuseBusMaster();
        }

        if (!translationBounds.Covers(address.Value, 1, Opcode) || fabric.Faults == null)
        {
            return false;
        }

        var asked = new FaultRequest(FaultPoint.Translation, Requester, address.Value, 1)
        {
            Pasid = cursor.HasPasid ? cursor.Pasid : null,
            Direction = access == DmaAccess.Read ? FaultDirection.Read : FaultDirection.Write,
            Opcode = Opcode,
        };
        if (fabric.Faults!.Fire(asked) is not { Rule.Action: TranslationFault fault } rule)
        {
            return false;
        }

        var report = translator?.InjectFault(new(Requester, address, access, cursor.Pasid, cursor.HasPasid), fault.Reason, fault.Level)
            ?? new InjectedFault(false, "no remapping unit is in front of the device");
        fabric.Faults.Report(rule, asked, report.Blocked ? $"blocked as fault reason 0x{fault.Reason:x}" : "request passed", report.SuppressedBy);
        return report.Blocked && !RefuseTranslation();
    }
}
