using Vmm.Platform.Dma;
using Vmm.Platform.Memory;

namespace Vmm.Platform.Faults;

/// <content>Transfers that go wrong. One asks for each piece of at most 4 KiB that a device moves.</content>
public sealed partial class FaultPlan
{
    /// <summary>What suppresses the report of a transfer that is wrong in its content only.</summary>
    const string WellFormed = "the unit checks addresses and rights, not what is meant (VT-d §3.1)";

    readonly byte[] scratch = new byte[4096];

    /// <summary>Moves a piece that a device reads. False: blocked.</summary>
    internal bool Read(DmaPort port, ref DmaCursor cursor, Iova address, Span<byte> destination)
    {
        var request = RequestOf(port, cursor, address, destination.Length, FaultDirection.Read);
        if (Fire(request) is not { Rule.Action: DmaFault fault } rule)
        {
            return port.ReadPiece(ref cursor, address, destination);
        }

        switch (fault.Kind)
        {
            case DmaFaultKind.Drop:
                Report(rule, request, "read without an answer", null);
                return port.RefuseUnanswered();
            case DmaFaultKind.WrongAddress:
                return ReadAs(port, PidOf(cursor), port.Requester, address + fault.Offset, destination, rule, request);
            case DmaFaultKind.WrongRequester:
                return ReadAs(port, PidOf(cursor), fault.Requester, address, destination, rule, request);
        }

        if (!port.ReadPiece(ref cursor, address, destination))
        {
            Report(rule, request, "blocked before anything could go wrong", null);
            return false;
        }

        switch (fault.Kind)
        {
            case DmaFaultKind.Truncate:
                destination[(int)Math.Min((uint)destination.Length, fault.Bytes)..].Fill(0xFF);
                Report(rule, request, $"only {Math.Min((uint)destination.Length, fault.Bytes)} bytes read", WellFormed);
                break;
            case DmaFaultKind.FlipBits:
                Flip(rule, fault, destination);
                Report(rule, request, $"{fault.Bits} bits inverted", WellFormed);
                break;
            case DmaFaultKind.AfterUnmap:
                Hold(rule, request, HeldEffects.Until.Invalidation, 0, [], destination.Length, "read again after the next invalidation");
                break;
        }

        return true;
    }

    /// <summary>Moves a piece that a device writes. False: blocked.</summary>
    internal bool Write(DmaPort port, ref DmaCursor cursor, Iova address, ReadOnlySpan<byte> source)
    {
        var request = RequestOf(port, cursor, address, source.Length, FaultDirection.Write);
        var waiting = held.Count;
        if (Fire(request) is { Rule.Action: DmaFault fault } rule)
        {
            if (IsLost(rule, fault, request, source))
            {
                return true;
            }

            if (!WriteWrong(port, ref cursor, address, source, rule, fault, request))
            {
                return false;
            }
        }
        else if (!port.WritePiece(ref cursor, address, source))
        {
            return false;
        }

        if (waiting != 0)
        {
            held.WriteDone(port.Requester, waiting);
        }

        return true;
    }

    /// <summary>Writes that do not arrive, or not now.</summary>
    bool IsLost(ArmedRule rule, DmaFault fault, in FaultRequest request, ReadOnlySpan<byte> source)
    {
        switch (fault.Kind)
        {
            case DmaFaultKind.Drop:
                Report(rule, request, "write lost", NoCompletion);
                return true;
            case DmaFaultKind.Delay:
                return Hold(rule, request, HeldEffects.Until.Time, fault.DelayNanoseconds, source.ToArray(), 0, "write held back");
            case DmaFaultKind.Reorder:
                return Hold(rule, request, HeldEffects.Until.NextWrite, 0, source.ToArray(), 0, "write held back until the next one");
            default:
                return false;
        }
    }

    bool WriteWrong(DmaPort port, ref DmaCursor cursor, Iova address, ReadOnlySpan<byte> source, ArmedRule rule, DmaFault fault, in FaultRequest request)
    {
        if (fault.Kind is DmaFaultKind.WrongAddress or DmaFaultKind.WrongRequester)
        {
            return fault.Kind == DmaFaultKind.WrongAddress
                ? WriteAs(port, PidOf(cursor), port.Requester, address + fault.Offset, source, rule, request)
                : WriteAs(port, PidOf(cursor), fault.Requester, address, source, rule, request);
        }

        var data = Spoil(fault, rule, address, source, out var effect);
        if (data.Length != 0 && !port.WritePiece(ref cursor, address, data))
        {
            Report(rule, request, "blocked before anything could go wrong", null);
            return false;
        }

        switch (fault.Kind)
        {
            case DmaFaultKind.Duplicate:
                Hold(rule, request, HeldEffects.Until.Time, fault.DelayNanoseconds, source.ToArray(), 0, "write repeated later");
                break;
            case DmaFaultKind.AfterUnmap:
                Hold(rule, request, HeldEffects.Until.Invalidation, 0, source.ToArray(), 0, "write repeated after the next invalidation");
                break;
            case DmaFaultKind.Truncate or DmaFaultKind.FlipBits or DmaFaultKind.Overrun:
                Report(rule, request, effect, WellFormed);
                break;
        }

        return true;
    }

    /// <summary>The bytes that are written instead. An overrun goes on with bytes of the rule's stream, at most to the page's end.</summary>
    ReadOnlySpan<byte> Spoil(DmaFault fault, ArmedRule rule, Iova address, ReadOnlySpan<byte> source, out string effect)
    {
        effect = "";
        source.CopyTo(scratch);
        switch (fault.Kind)
        {
            case DmaFaultKind.Truncate:
                var kept = (int)Math.Min((uint)source.Length, fault.Bytes);
                effect = $"only {kept} bytes written";
                return source[..kept];
            case DmaFaultKind.FlipBits:
                effect = $"{fault.Bits} bits inverted";
                Flip(rule, fault, scratch.AsSpan(0, source.Length));
                return scratch.AsSpan(0, source.Length);
            case DmaFaultKind.Overrun:
                var end = Math.Min(source.Length + (int)fault.Bytes, 4096 - address.PageOffset);
                for (var i = source.Length; i < end; i++)
                {
                    scratch[i] = (byte)rule.Draw();
                }

                effect = $"{end - source.Length} bytes too many written";
                return scratch.AsSpan(0, end);
            default:
                return source;
        }
    }

    /// <summary>An invalidation was carried out: devices that misuse stale addresses do so now.</summary>
    public void InvalidationDone()
    {
        if (held.Count != 0)
        {
            held.InvalidationDone();
        }
    }

    bool Hold(ArmedRule rule, in FaultRequest request, HeldEffects.Until until, ulong delay, byte[] data, int length, string effect)
    {
        var stored = held.TryAdd(new(rule.Rule.Name, until, request.Device ?? default, request.Address, data)
        {
            Due = clock.Now + Math.Max(1, clock.ToCycles(delay, 1_000_000_000)), Pasid = request.Pasid, Length = length,
        });
        Report(rule, request, stored ? effect : "left alone: too much is held back", WellFormed);
        return stored;
    }

    bool ReadAs(DmaPort port, uint? pasid, Bdf requester, Iova address, Span<byte> destination, ArmedRule rule, in FaultRequest request)
    {
        var good = port.ReadAs(requester, pasid, address, destination);
        Report(rule, request, $"read {(good ? "done" : "blocked")} as {requester} at {address.Value:x}", good ? WellFormed : null);
        return good;
    }

    bool WriteAs(DmaPort port, uint? pasid, Bdf requester, Iova address, ReadOnlySpan<byte> source, ArmedRule rule, in FaultRequest request)
    {
        var good = port.WriteAs(requester, pasid, address, source);
        Report(rule, request, $"write {(good ? "done" : "blocked")} as {requester} at {address.Value:x}", good ? WellFormed : null);
        return good;
    }

    static uint? PidOf(in DmaCursor cursor) => cursor.HasPasid ? cursor.Pasid : null;

    static FaultRequest RequestOf(DmaPort port, in DmaCursor cursor, Iova address, int length, FaultDirection direction) =>
        new(FaultPoint.Transfer, port.Requester, address.Value, (ulong)length) { Pasid = PidOf(cursor), Direction = direction, Opcode = port.Opcode };

    static void Flip(ArmedRule rule, DmaFault fault, Span<byte> data)
    {
        for (var i = 0u; i < fault.Bits; i++)
        {
            var bit = rule.Draw() % ((ulong)data.Length * 8);
            data[(int)(bit / 8)] ^= (byte)(1 << (int)(bit & 7));
        }
    }
}
