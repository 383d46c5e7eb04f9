using Vmm.Guests.Kit;
using Vmm.Machine;
using Vmm.Platform.Faults;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests.Faults;

/// <summary>
/// Every fault action once against Debian's kernel: what the kernel says or the device tells, that no RAM outside the
/// device's mappings changed, and that the disk works afterwards with every completion taken once.
/// </summary>
public sealed class FaultActionTests(FaultGuests guests, ITestOutputHelper log) : IClassFixture<FaultGuests>
{
    const string Read = "dd if=/dev/nvme0n1 of=/tmp/read bs=4k count=8 iflag=direct 2>&1; echo READ $?";
    const string Write = "dd if=/dev/zero of=/dev/nvme0n1 bs=4k count=8 seek=512 oflag=direct conv=notrunc 2>&1; echo WROTE $?";
    const string Check = "echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/nvme0n1 bs=64k count=32 iflag=direct 2>/dev/null | md5sum; echo CHECKED";

    static readonly FaultMatch Once = new() { Device = FaultGuests.Disk, Count = 1 };
    static readonly FaultMatch Data = Once with { Opcode = 2, Direction = FaultDirection.Write };
    static readonly FaultMatch Invalidation = new() { Count = 1 };

    /// <summary>What a case does and what is to be seen.</summary>
    /// <param name="Match">When.</param>
    /// <param name="Action">What.</param>
    /// <param name="Command">What the guest is told to do.</param>
    /// <param name="Says">What the kernel says; null: nothing, because nothing is reported.</param>
    /// <param name="Survives">The guest answers afterwards.</param>
    internal sealed record Case(FaultMatch Match, FaultAction Action, string Command, string? Says, bool Survives = true);

    static readonly Dictionary<string, Case> Cases = new()
    {
        ["translation before any walk"] = new(Data, new TranslationFault(5, 0), Read, "DMAR: [DMA Write NO_PASID] Request device [00:03.0]"),
        ["translation at level 1"] = new(Data, new TranslationFault(0x0C, 1), Read, "[fault reason 0x0c]"),
        ["translation at level 3"] = new(Data, new TranslationFault(7, 3), Read, "[fault reason 0x07]"),
        ["invalidation skipped"] = new(Invalidation, new InvalidationFault(InvalidationFaultKind.Skip), Read, null),
        ["invalidation delayed"] = new(Invalidation, new InvalidationFault(InvalidationFaultKind.Delay, 100_000), Read, null),
        ["invalidation never complete"] = new(Invalidation, new InvalidationFault(InvalidationFaultKind.NeverComplete), Read, null, false),
        ["invalidation queue error"] = new(Invalidation, new InvalidationFault(InvalidationFaultKind.QueueError), Read, "DMAR: VT-d detected Invalidation Queue Error"),
        ["invalidation time-out error"] = new(Invalidation, new InvalidationFault(InvalidationFaultKind.TimeoutError), Read, "DMAR: VT-d detected Invalidation Time-out Error"),
        ["invalidation completion error"] = new(Invalidation, new InvalidationFault(InvalidationFaultKind.CompletionError), Read, "DMAR: DRHD: handling fault status reg 20"),
        ["stale entry kept"] = new(Once, new CacheFault(), Read, null),
        ["interrupt dropped"] = new(Once, new InterruptFault(InterruptFaultKind.Drop), Read, "timeout, completion polled"),
        ["interrupt duplicated"] = new(Once, new InterruptFault(InterruptFaultKind.Duplicate), Read, null),
        ["interrupt storm"] = new(Once, new InterruptFault(InterruptFaultKind.Storm, Repeat: 1000, PeriodNanoseconds: 1000), Read, null),
        ["interrupt with wrong vector"] = new(Once, new InterruptFault(InterruptFaultKind.WrongVector, DataXor: 0x40), Read, "DMAR: [INTR-REMAP] Request device [00:03.0]"),
        ["interrupt remap fault"] = new(Once, new InterruptFault(InterruptFaultKind.RemapFault, Reason: 0x22), Read, "DMAR: [INTR-REMAP] Request device [00:03.0]"),
        ["dma dropped"] = new(Data, new DmaFault(DmaFaultKind.Drop), Read, null),
        ["dma read dropped"] = new(Once with { Opcode = 1 }, new DmaFault(DmaFaultKind.Drop), Write, null),
        ["dma delayed"] = new(Data, new DmaFault(DmaFaultKind.Delay, DelayNanoseconds: 50_000), Read, null),
        ["dma truncated"] = new(Data, new DmaFault(DmaFaultKind.Truncate, Bytes: 100), Read, null),
        ["dma duplicated"] = new(Data, new DmaFault(DmaFaultKind.Duplicate, DelayNanoseconds: 1000), Read, null),
        ["dma reordered"] = new(Data, new DmaFault(DmaFaultKind.Reorder), Read, null),
        ["dma bits flipped"] = new(Data, new DmaFault(DmaFaultKind.FlipBits, Bits: 3), Read, null),
        ["dma to wrong address"] = new(Data, new DmaFault(DmaFaultKind.WrongAddress, Offset: 1ul << 40), Read, "DMAR: [DMA Write NO_PASID] Request device [00:03.0]"),
        ["dma with wrong requester"] = new(Data, new DmaFault(DmaFaultKind.WrongRequester, Requester: new(0, 0x1E, 7)), Read, "Request device [00:1e.7]"),
        ["dma after unmap"] = new(Data, new DmaFault(DmaFaultKind.AfterUnmap), Read, "DMAR: [DMA Write NO_PASID] Request device [00:03.0]"),
        ["dma overrun"] = new(Data, new DmaFault(DmaFaultKind.Overrun, Bytes: 64), "dd if=/dev/nvme0n1 of=/tmp/read bs=512 count=8 iflag=direct 2>&1; echo READ $?", null),
        ["completion status"] = new(Once with { Opcode = 2 }, new CompletionFault(CompletionFaultKind.Status, 2, 0x81, true), Read, "critical medium error"),
        ["completion never"] = new(Once with { Opcode = 2 }, new CompletionFault(CompletionFaultKind.Timeout), Read, "timeout, aborting"),
        ["surprise removal"] = new(Once with { Opcode = 2 }, new CompletionFault(CompletionFaultKind.SurpriseRemoval), Read, "controller is down; will reset", false),
    };

    public static TheoryData<string> Names => [.. Cases.Keys];

    [SkippableTheory]
    [MemberData(nameof(Names))]
    public void An_action_does_what_it_says_and_nothing_else(string name)
    {
        var test = Cases[name];
        using var shell = guests.Fork();
        shell.Machine.Faults.Arm(new("rule", test.Match, test.Action));
        FaultFiring? first = null;
        shell.Machine.Faults.Fired = firing => first ??= firing;
        shell.Type(test.Command);
        shell.Type(Check);
        if (test.Survives)
        {
            shell.Expect("CHECKED", 120);
        }
        else
        {
            shell.Machine.Run(shell.Machine.Now + 8 * shell.Machine.Clock.Hertz);
        }

        log.WriteLine($"{first?.Effect} | {first?.SuppressedBy ?? "reported"}\n{shell.Output}");
        Assert.NotNull(first);
        Assert.DoesNotContain("invalid id", shell.Output);
        if (test.Says != null)
        {
            Assert.Contains(test.Says, shell.Output);
        }

        if (test.Survives)
        {
            Assert.Contains(FaultGuests.FirstHalf, shell.Output);
        }

        ref readonly var dma = ref shell.Machine.Nvme[0].Function.Dma.Counters;
        Assert.Equal(0ul, dma.BytesBypassed);
    }

    public static TheoryData<string> Transfers => [.. Cases.Where(c => c.Value.Action.Point is FaultPoint.Translation or FaultPoint.Transfer or FaultPoint.Interrupt or FaultPoint.Completion).Select(c => c.Key)];

    /// <summary>
    /// The same request, once broken as the rule says and once without effect, in two forks that are the same until then:
    /// what differs in RAM afterwards is what the fault did.
    /// </summary>
    [SkippableTheory]
    [MemberData(nameof(Transfers))]
    public void An_action_changes_no_memory_that_the_device_may_not_write(string name)
    {
        var test = Cases[name];
        FaultAction harmless = test.Action.Point switch
        {
            FaultPoint.Interrupt => new InterruptFault(InterruptFaultKind.Drop),
            FaultPoint.Completion => new CompletionFault(CompletionFaultKind.Timeout),
            FaultPoint.Translation => new TranslationFault(5, 0),
            _ => new DmaFault(DmaFaultKind.Drop),
        };
        FaultGuests.AssertMemory(guests.Fork, test.Match, test.Action, harmless, test.Command, FaultGuests.Writable);
    }
}
