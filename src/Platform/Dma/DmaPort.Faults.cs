using System.Runtime.CompilerServices;
using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;

namespace Vmm.Platform.Dma;

/// <content>What fault rules need of a port.</content>
public sealed partial class DmaPort
{
    FaultWatch transfers, translations;
    FaultBounds commands;
    VirtualClock? clock;
    uint? opcode;
    bool watchesOpcode;

    /// <summary>
    /// Opcode of the command whose data the device moves now, for rules that name one: of the admin queue with 0x100 added;
    /// null while it moves anything else.
    /// </summary>
    public uint? Opcode
    {
        get => opcode;
        set
        {
            opcode = value;
            if (watchesOpcode)
            {
                transfers.Focus(value);
                translations.Focus(value);
            }
        }
    }

    /// <summary>False: no rule can match any command of this device.</summary>
    public bool HasCommandRules => !commands.IsNone;

    /// <summary>False: no rule can match a command now. Only asked while there are any.</summary>
    /// <param name="command">Opcode as rules name it.</param>
    /// <param name="direction">Direction of its data.</param>
    /// <param name="first">First block.</param>
    /// <param name="blocks">Blocks.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool IsWatched(uint command, FaultDirection? direction, ulong first, ulong blocks) =>
        commands.HasOpcode(command) && commands.HasTime(clock!.Now) && commands.Covers(first, blocks) && commands.HasDirection(direction);

    /// <summary>Rules were armed, disarmed or spent, or what is held back changed.</summary>
    internal void FaultsChanged()
    {
        clock = fabric.Faults?.Clock;
        transfers.Set(BoundsOf(FaultPoint.Transfer), opcode);
        translations.Set(BoundsOf(FaultPoint.Translation), opcode);
        // Commands have no PASID.
        commands = BoundsOf(FaultPoint.Completion) is { Pasid: FaultBounds.Any } bounds ? bounds : FaultBounds.None;
        watchesOpcode = transfers.Bounds.Opcode != FaultBounds.Any || translations.Bounds.Opcode != FaultBounds.Any;
    }

    FaultBounds BoundsOf(FaultPoint point) => fabric.Faults?.BoundsOf(point, Requester) ?? FaultBounds.None;

    /// <summary>True when a rule may concern a read, or one that is held back waits for it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    bool IsReadWatched(in DmaCursor cursor, Iova address, int length) =>
        transfers.TouchesRead(address.Value) && transfers.TouchesTime(clock!.Now) && Covers(transfers.Bounds, cursor, address, length);

    /// <summary>True when a rule may concern a write, or one that is held back waits for it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    bool IsWriteWatched(in DmaCursor cursor, Iova address, int length) =>
        transfers.TouchesWrite(address.Value) && transfers.TouchesTime(clock!.Now) && Covers(transfers.Bounds, cursor, address, length);

    /// <summary>True when a rule may concern the translation of a request.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    bool IsTranslationWatched(in DmaCursor cursor, Iova address, DmaAccess access) =>
        (access == DmaAccess.Read ? translations.TouchesRead(address.Value) : translations.TouchesWrite(address.Value)) &&
        translations.TouchesTime(clock!.Now) && Covers(translations.Bounds, cursor, address, 1);

    static bool Covers(in FaultBounds bounds, in DmaCursor cursor, Iova address, int length) =>
        bounds.Covers(address.Value, (uint)length, cursor.HasPasid ? cursor.Pasid : FaultBounds.Without);

    /// <summary>Sends a message that no rule is asked about.</summary>
    internal void RaiseUnasked(MsiMessage message)
    {
        if (BusMaster)
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

    /// <summary>Asks the rules about a request that is about to be translated. True: it is blocked.</summary>
    bool IsBlockedByRule(in DmaCursor cursor, Iova address, DmaAccess access)
    {
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
