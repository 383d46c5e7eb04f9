using Vmm.Guests.Kit;
using Vmm.Machine;
using Vmm.Platform.Faults;
using Vmm.Specs.Virtio;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests.Faults;

/// <summary>Fault actions on virtio-iommu and on a virtio disk, each once against Debian's kernel: what it says, and that it works afterwards.</summary>
public sealed class VirtioFaultTests(VirtioGuests guests, ITestOutputHelper log) : IClassFixture<VirtioGuests>
{
    const string ReadNvme = "dd if=/dev/nvme0n1 of=/dev/null bs=4k count=8 iflag=direct 2>&1; echo READ $?";
    const string ReadVirtio = "dd if=/dev/vda of=/dev/null bs=4k count=8 iflag=direct 2>&1; echo READ $?";
    const string WriteVirtio = "dd if=/dev/zero of=/dev/vda bs=4k count=8 oflag=direct conv=notrunc 2>&1; echo WROTE $?";
    const string Check = "for d in nvme0n1 vda; do dd if=/dev/$d bs=64k count=64 iflag=direct 2>/dev/null | wc -c | sed 's/^/GOT /'; done; echo CHECKED";

    static readonly FaultMatch Unmap = new() { Opcode = (uint)VirtioIommuRequest.Unmap, Count = 1 };
    static readonly FaultMatch Disk = new() { Device = VirtioGuests.Virtio, Count = 1 };

    /// <summary>What a case does and what is to be seen.</summary>
    /// <param name="Match">When.</param>
    /// <param name="Action">What.</param>
    /// <param name="Command">What the guest is told to do.</param>
    /// <param name="Says">What is seen on the console; null: nothing, because nothing is reported.</param>
    /// <param name="Survives">Both disks can be read afterwards.</param>
    internal sealed record Case(FaultMatch Match, FaultAction Action, string Command, string? Says, bool Survives = true);

    static readonly Dictionary<string, Case> Cases = new()
    {
        ["translation"] = new(new() { Device = VirtioGuests.Nvme, Opcode = 2, Direction = FaultDirection.Write, Count = 1 }, new TranslationFault((uint)VirtioIommuFault.Mapping, 0), ReadNvme, "page fault from EP 24"),
        ["unmap skipped"] = new(Unmap, new InvalidationFault(InvalidationFaultKind.Skip), ReadNvme, null),
        ["unmap delayed"] = new(Unmap, new InvalidationFault(InvalidationFaultKind.Delay, 100_000), ReadNvme, null),
        ["unmap never answered"] = new(Unmap, new InvalidationFault(InvalidationFaultKind.NeverComplete), ReadNvme, null, false),
        ["unmap failed"] = new(Unmap, new InvalidationFault(InvalidationFaultKind.QueueError), ReadNvme, null),
        ["stale translation kept"] = new(new() { Device = VirtioGuests.Nvme, Count = 1 }, new CacheFault(), ReadNvme, null),
        ["dma after unmap"] = new(new() { Device = VirtioGuests.Nvme, Opcode = 2, Direction = FaultDirection.Write, Count = 1 }, new DmaFault(DmaFaultKind.AfterUnmap), ReadNvme, "page fault from EP 24"),
        ["dma to wrong address"] = new(new() { Device = VirtioGuests.Virtio, Opcode = VirtioBlkRequest.In, Direction = FaultDirection.Write, Count = 1 }, new DmaFault(DmaFaultKind.WrongAddress, Offset: 1ul << 40), ReadVirtio, "page fault from EP 32"),
        ["disk read fails"] = new(Disk with { Opcode = VirtioBlkRequest.In }, new CompletionFault(CompletionFaultKind.Status, 0, 1), ReadVirtio, "I/O error, dev vda, sector 0 op 0x0:(READ)"),
        ["disk write unsupported"] = new(Disk with { Opcode = VirtioBlkRequest.Out }, new CompletionFault(CompletionFaultKind.Status, 0, 2), WriteVirtio, "operation not supported error, dev vda"),
        ["disk never answers"] = new(Disk with { Opcode = VirtioBlkRequest.In }, new CompletionFault(CompletionFaultKind.Timeout), ReadVirtio, null, false),
        ["disk pulled"] = new(Disk with { Opcode = VirtioBlkRequest.In }, new CompletionFault(CompletionFaultKind.SurpriseRemoval), ReadVirtio, null, false),
    };

    public static TheoryData<string> Names => [.. Cases.Keys];

    [SkippableTheory]
    [MemberData(nameof(Names))]
    public void An_action_does_what_it_says_and_nothing_else(string name)
    {
        var test = Cases[name];
        using var shell = guests.Fork();
        shell.Machine.Faults.Arm(new("rule", test.Match, test.Action));
        shell.Type(test.Command);
        shell.Type(Check);
        if (test.Survives)
        {
            shell.Expect("CHECKED", 60);
        }
        else
        {
            shell.Machine.Run(shell.Machine.Now + shell.Machine.Clock.Hertz);
        }

        var fired = shell.Machine.Faults.Firings.FirstOrDefault();
        log.WriteLine($"{fired?.Effect} | {fired?.SuppressedBy ?? "reported"}\n{shell.Output}");
        Assert.NotNull(fired);
        Assert.Equal(name == "dma after unmap" || test.Says == null && name != "unmap failed", fired.SuppressedBy != null);
        Assert.Equal(test.Survives ? 2 : 0, shell.Output.Split("GOT 4194304").Length - 1);
        if (test.Says != null)
        {
            Assert.Contains(test.Says, shell.Output);
        }

        Assert.Equal(0ul, shell.Machine.Nvme[0].Function.Dma.Counters.BytesBypassed);
        Assert.Equal(test.Says?.StartsWith("page fault", StringComparison.Ordinal) == true ? 1ul : 0, shell.Machine.VirtioIommu!.ReportedEvents);
    }

    public static TheoryData<string> Transfers => [.. Cases.Where(c => c.Value.Action.Point is FaultPoint.Translation or FaultPoint.Transfer or FaultPoint.Completion).Select(c => c.Key)];

    /// <summary>Once broken as the rule says and once without effect, in two forks that are the same until then.</summary>
    [SkippableTheory]
    [MemberData(nameof(Transfers))]
    public void An_action_changes_no_memory_that_the_device_may_not_write(string name)
    {
        var test = Cases[name];
        FaultAction harmless = test.Action.Point switch
        {
            FaultPoint.Completion => new CompletionFault(CompletionFaultKind.Timeout),
            FaultPoint.Translation => new TranslationFault(0, 0),
            _ => new DmaFault(DmaFaultKind.Drop),
        };
        FaultGuests.AssertMemory(guests.Fork, test.Match, test.Action, harmless, test.Command, VirtioGuests.Writable);
    }
}
