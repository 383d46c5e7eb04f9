using Vmm.Api.V1;
using Vmm.Platform.Dma;
using Rules = Vmm.Platform.Faults;

namespace Vmm.Control;

/// <summary>Fault rules between the API's messages and the machine's records. Kinds have the same numbers on both sides.</summary>
internal static class FaultRuleMessages
{
    /// <summary>The rule of a message, with what the message alone can have wrong.</summary>
    public static (Rules.FaultRule Rule, Violations Violations) Read(FaultRule message)
    {
        var violations = new Violations();
        return (new(message.Name, Read(message.Match ?? new(), violations), Read(message.Action ?? new(), violations)!), violations);
    }

    static Rules.FaultMatch Read(FaultMatch match, Violations violations)
    {
        Bdf device = default;
        violations.Require(!match.HasDevice || Requesters.TryParse(match.Device, out device), "rule.match.device", Requesters.Form);
        violations.Require(Enum.IsDefined(match.Direction), "rule.match.direction", "not a known value");
        return new()
        {
            Device = match.HasDevice ? device : null,
            Pasid = match.HasPasid ? match.Pasid : null,
            Address = match.Address is { } range ? new(range.Start, range.Length) : null,
            Direction = match.Direction is FaultDirection.Read or FaultDirection.Write ? (Rules.FaultDirection)match.Direction : null,
            Opcode = match.HasOpcode ? match.Opcode : null,
            Vector = match.HasVector ? match.Vector : null,
            Time = match.Time is { } time ? new(time.From, time.Until) : null,
            Instructions = match.Instructions is { } instructions ? new(instructions.From, instructions.Until) : null,
            Nth = Math.Max(1, match.Nth),
            Interval = Math.Max(1, match.Interval),
            ProbabilityPpm = match.ProbabilityPpm == 0 ? 1_000_000 : match.ProbabilityPpm,
            Seed = match.Seed,
            Count = match.Count,
        };
    }

    static Rules.FaultAction? Read(FaultAction action, Violations violations)
    {
        switch (action.ActionCase)
        {
            case FaultAction.ActionOneofCase.Translation:
                return new Rules.TranslationFault(action.Translation.Reason, action.Translation.Level);
            case FaultAction.ActionOneofCase.Invalidation:
                return new Rules.InvalidationFault((Rules.InvalidationFaultKind)action.Invalidation.Kind, action.Invalidation.DelayNs);
            case FaultAction.ActionOneofCase.Cache:
                return new Rules.CacheFault();
            case FaultAction.ActionOneofCase.Interrupt:
                var interrupt = action.Interrupt;
                return new Rules.InterruptFault((Rules.InterruptFaultKind)interrupt.Kind, interrupt.Repeat, interrupt.PeriodNs, interrupt.DataXor, interrupt.Reason);
            case FaultAction.ActionOneofCase.Dma:
                var dma = action.Dma;
                Bdf requester = default;
                violations.Require(
                    dma.Kind != DmaFaultKind.WrongRequester || Requesters.TryParse(dma.Requester, out requester), "rule.action.dma.requester", Requesters.Form);
                return new Rules.DmaFault((Rules.DmaFaultKind)dma.Kind, dma.DelayNs, dma.Bytes, dma.Bits, dma.Offset, requester);
            case FaultAction.ActionOneofCase.Completion:
                var completion = action.Completion;
                return new Rules.CompletionFault(
                    (Rules.CompletionFaultKind)completion.Kind, completion.StatusCodeType, completion.StatusCode, completion.DoNotRetry);
            default:
                return null;
        }
    }

    /// <summary>A rule with what it did so far.</summary>
    public static FaultRule Write(Rules.ArmedRule armed) => new()
    {
        Name = armed.Rule.Name, Match = Write(armed.Rule.Match), Action = Write(armed.Rule.Action), Fired = armed.Fired, Matched = armed.Matched,
    };

    static FaultMatch Write(Rules.FaultMatch match)
    {
        var message = new FaultMatch
        {
            Direction = (FaultDirection)(match.Direction ?? 0), Nth = match.Nth, Interval = match.Interval, ProbabilityPpm = match.ProbabilityPpm,
            Seed = match.Seed, Count = match.Count,
            Address = match.Address is { } range ? new() { Start = range.Start, Length = range.Length } : null,
            Time = match.Time is { } time ? new() { From = time.From, Until = time.Until } : null,
            Instructions = match.Instructions is { } window ? new() { From = window.From, Until = window.Until } : null,
        };
        if (match.Device is { } device)
        {
            message.Device = device.ToString();
        }

        if (match.Pasid is { } pasid)
        {
            message.Pasid = pasid;
        }

        if (match.Opcode is { } opcode)
        {
            message.Opcode = opcode;
        }

        if (match.Vector is { } vector)
        {
            message.Vector = vector;
        }

        return message;
    }

    static FaultAction Write(Rules.FaultAction action) => action switch
    {
        Rules.TranslationFault f => new() { Translation = new() { Reason = f.Reason, Level = f.Level } },
        Rules.InvalidationFault f => new() { Invalidation = new() { Kind = (InvalidationFaultKind)f.Kind, DelayNs = f.DelayNanoseconds } },
        Rules.CacheFault => new() { Cache = new() },
        Rules.InterruptFault f => new()
        {
            Interrupt = new() { Kind = (InterruptFaultKind)f.Kind, Repeat = f.Repeat, PeriodNs = f.PeriodNanoseconds, DataXor = f.DataXor, Reason = f.Reason },
        },
        Rules.DmaFault f => new()
        {
            Dma = new()
            {
                Kind = (DmaFaultKind)f.Kind, DelayNs = f.DelayNanoseconds, Bytes = f.Bytes, Bits = f.Bits, Offset = f.Offset,
                Requester = f.Kind == Rules.DmaFaultKind.WrongRequester ? f.Requester.ToString() : "",
            },
        },
        Rules.CompletionFault f => new()
        {
            Completion = new() { Kind = (CompletionFaultKind)f.Kind, StatusCodeType = f.StatusCodeType, StatusCode = f.StatusCode, DoNotRetry = f.DoNotRetry },
        },
        _ => new(),
    };

    /// <summary>A firing.</summary>
    public static FaultFiring Write(Rules.FaultFiring firing)
    {
        var request = firing.Request;
        var message = new FaultFiring
        {
            Rule = firing.Rule, Number = firing.Number, VirtualTimeNs = firing.Nanoseconds, Device = request.Device?.ToString() ?? "",
            Address = request.Address, Length = (uint)Math.Min(request.Length, uint.MaxValue), Direction = (FaultDirection)(request.Direction ?? 0),
            Effect = firing.Effect, Reported = firing.SuppressedBy == null, SuppressedBy = firing.SuppressedBy ?? "",
        };
        if (request.Opcode is { } opcode)
        {
            message.Opcode = opcode;
        }

        return message;
    }
}
