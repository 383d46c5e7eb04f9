namespace Vmm.Platform.Faults;

/// <summary>One thing that is wrong with a rule.</summary>
/// <param name="Field">Dotted path inside the rule ("match.address").</param>
/// <param name="Message">What is wrong.</param>
public readonly record struct FaultRuleViolation(string Field, string Message);

/// <summary>A rule cannot be armed; every reason is named.</summary>
public sealed class FaultRuleException(IReadOnlyList<FaultRuleViolation> violations)
    : Exception(string.Join("; ", violations.Select(static v => $"{v.Field}: {v.Message}")))
{
    /// <summary>All that is wrong.</summary>
    public IReadOnlyList<FaultRuleViolation> Violations => violations;
}

/// <summary>Checks rules before they are armed.</summary>
public static class FaultRuleCheck
{
    const ulong Hour = 3_600_000_000_000;

    /// <summary>Everything that is wrong with a rule; empty when it may be armed.</summary>
    public static List<FaultRuleViolation> Violations(FaultRule rule)
    {
        var found = new List<FaultRuleViolation>();
        if (!IsName(rule.Name))
        {
            found.Add(new("name", "1 to 63 of a-z, 0-9 and '-', starting with a letter"));
        }

        CheckMatch(rule.Match, found);
        CheckAction(rule, found);
        return found;
    }

    static bool IsName(string name) =>
        name.Length is >= 1 and <= 63 && name[0] is >= 'a' and <= 'z' && name.All(static c => c is >= 'a' and <= 'z' or >= '0' and <= '9' or '-');

    static void CheckMatch(FaultMatch match, List<FaultRuleViolation> found)
    {
        Require(match.Pasid is null or <= 0xF_FFFF, "match.pasid", "20 bits", found);
        Require(match.Address is not { Length: 0 }, "match.address.length", "must not be 0", found);
        Require(match.Address is not { } a || a.Length == 0 || a.Start <= ulong.MaxValue - (a.Length - 1), "match.address", "passes 2^64", found);
        Require(match.Direction is null || Enum.IsDefined(match.Direction.Value), "match.direction", "unknown", found);
        Require(match.Vector is null or <= 0xFF, "match.vector", "8 bits", found);
        Require(match.Time is not { } t || t.Until == 0 || t.Until > t.From, "match.time", "ends before it begins", found);
        Require(match.Instructions is not { } i || i.Until == 0 || i.Until > i.From, "match.instructions", "ends before it begins", found);
        Require(match.Nth != 0, "match.nth", "counts from 1", found);
        Require(match.Interval != 0, "match.interval", "must not be 0", found);
        Require(match.ProbabilityPpm is >= 1 and <= 1_000_000, "match.probability_ppm", "1 to 1000000", found);
    }

    static void CheckAction(FaultRule rule, List<FaultRuleViolation> found)
    {
        switch (rule.Action)
        {
            case TranslationFault fault:
                Require(fault.Reason <= 0xFF, "action.translation.reason", "0 to 255", found);
                Require(fault.Level <= 5, "action.translation.level", "0 to 5", found);
                break;
            case InvalidationFault fault:
                Require(Enum.IsDefined(fault.Kind), "action.invalidation.kind", "unknown", found);
                Require(fault.Kind != InvalidationFaultKind.Delay || IsDelay(fault.DelayNanoseconds), "action.invalidation.delay_ns", "1 to 3600000000000", found);
                break;
            case CacheFault:
                Require(rule.Match.Device != null, "match.device", "a cache rule names the device whose translations survive", found);
                break;
            case InterruptFault fault:
                CheckInterrupt(fault, found);
                break;
            case DmaFault fault:
                CheckTransfer(fault, rule.Match, found);
                break;
            case CompletionFault fault:
                CheckCompletion(fault, found);
                break;
            default:
                found.Add(new("action", "missing"));
                break;
        }
    }

    static void CheckInterrupt(InterruptFault fault, List<FaultRuleViolation> found)
    {
        Require(Enum.IsDefined(fault.Kind), "action.interrupt.kind", "unknown", found);
        if (fault.Kind == InterruptFaultKind.Storm)
        {
            Require(fault.Repeat is >= 1 and <= 1_000_000, "action.interrupt.repeat", "1 to 1000000", found);
            Require(fault.PeriodNanoseconds is >= 100 and <= 1_000_000_000, "action.interrupt.period_ns", "100 to 1000000000", found);
        }

        Require(fault.Kind != InterruptFaultKind.WrongVector || fault.DataXor != 0, "action.interrupt.data_xor", "must not be 0", found);
        Require(fault.Kind != InterruptFaultKind.RemapFault || fault.Reason is >= 0x20 and <= 0x29, "action.interrupt.reason", "0x20 to 0x29", found);
    }

    static void CheckTransfer(DmaFault fault, FaultMatch match, List<FaultRuleViolation> found)
    {
        Require(Enum.IsDefined(fault.Kind), "action.dma.kind", "unknown", found);
        Require(!fault.IsForWrites || match.Direction != FaultDirection.Read, "match.direction", "only writes can go wrong like this", found);
        switch (fault.Kind)
        {
            case DmaFaultKind.Delay or DmaFaultKind.Duplicate:
                Require(IsDelay(fault.DelayNanoseconds), "action.dma.delay_ns", "1 to 3600000000000", found);
                break;
            case DmaFaultKind.Truncate:
                Require(fault.Bytes <= 4095, "action.dma.bytes", "0 to 4095", found);
                break;
            case DmaFaultKind.Overrun:
                Require(fault.Bytes is >= 1 and <= 4095, "action.dma.bytes", "1 to 4095", found);
                break;
            case DmaFaultKind.FlipBits:
                Require(fault.Bits is >= 1 and <= 64, "action.dma.bits", "1 to 64", found);
                break;
            case DmaFaultKind.WrongAddress:
                Require(fault.Offset != 0, "action.dma.offset", "must not be 0", found);
                break;
        }
    }

    static void CheckCompletion(CompletionFault fault, List<FaultRuleViolation> found)
    {
        Require(Enum.IsDefined(fault.Kind), "action.completion.kind", "unknown", found);
        if (fault.Kind == CompletionFaultKind.Status)
        {
            Require(fault.StatusCodeType <= 7, "action.completion.status_code_type", "0 to 7", found);
            Require(fault.StatusCode <= 255, "action.completion.status_code", "0 to 255", found);
            Require((fault.StatusCodeType | fault.StatusCode) != 0, "action.completion.status_code", "0 of type 0 is success", found);
        }
    }

    static bool IsDelay(ulong nanoseconds) => nanoseconds is >= 1 and <= Hour;

    static void Require(bool holds, string field, string message, List<FaultRuleViolation> found)
    {
        if (!holds)
        {
            found.Add(new(field, message));
        }
    }
}
