using System.Runtime.CompilerServices;
using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;

namespace Vmm.Platform.Dma;

/// <content>Which requests fault rules are asked about.</content>
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
        commands.HasOpcode(command) && commands.HasTime(clock!.Now) && commands.Covers(first, blocks) && commands.HasDirection(direction) &&
        fabric.Faults!.HasInstructions(commands);

    /// <summary>Rules were armed, disarmed or spent, or what is held back changed.</summary>
    internal void FaultsChanged()
    {
        clock = fabric.Faults?.Clock;
        transfers.Set(BoundsOf(FaultPoint.Transfer), opcode);
        translations.Set(BoundsOf(FaultPoint.Translation), opcode);
        // Commands have no PASID.
        commands = BoundsOf(FaultPoint.Completion) is { Pasid: FaultBounds.Any } bounds ? bounds : FaultBounds.None;
        watchesOpcode = transfers.Bounds.NamesOpcode || translations.Bounds.NamesOpcode;
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

    bool Covers(in FaultBounds bounds, in DmaCursor cursor, Iova address, int length) =>
        bounds.Covers(address.Value, (uint)length, cursor.HasPasid ? cursor.Pasid : FaultBounds.Without) && fabric.Faults!.HasInstructions(bounds);

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
