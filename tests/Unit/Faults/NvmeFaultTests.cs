using Vmm.Platform.Faults;
using Vmm.Specs.Nvme;
using Vmm.Unit.Nvme;
using Xunit;
using static Vmm.Unit.Nvme.NvmeTestBench;

namespace Vmm.Unit.Faults;

/// <summary>NVMe commands that go wrong: each command has one completion or none, and the disk changes only by what succeeded.</summary>
public sealed class NvmeFaultTests : IDisposable
{
    readonly NvmeTestBench bench = new NvmeTestBench().Started();
    readonly FaultPlan plan;

    public NvmeFaultTests() => plan = new(bench.Clock, bench.Fabric) { Removal = _ => bench.Host.Pci.Remove(bench.Controller.Function) };

    public void Dispose() => bench.Dispose();

    void Arm(CompletionFault fault, FaultMatch match) => plan.Arm(new("r", match, fault));

    [Fact]
    public void A_command_completes_with_the_status_and_without_effect()
    {
        var before = bench.Bytes(Data, 4096);
        Arm(new(CompletionFaultKind.Status, 2, 0x81, true), new() { Opcode = 2, Address = new(80, 8), Count = 1 });
        AssertOk(bench.Io(Transfer(2, 0, 8)));
        bench.Put(Data, Pattern(4096));
        var completed = bench.Io(Transfer(2, 80, 8));
        Assert.Equal(NvmeStatus.UnrecoveredRead, completed.Code);
        Assert.True((completed.Status & NvmeStatus.DoNotRetry) != 0);
        Assert.Equal(Pattern(4096), bench.Bytes(Data, 4096));
        Assert.NotEqual(before, bench.Bytes(Data, 4096));
        AssertOk(bench.Io(Transfer(2, 80, 8)));
        Assert.Null(Assert.Single(plan.Firings).SuppressedBy);
    }

    [Fact]
    public void A_write_that_fails_leaves_the_media_as_it_was()
    {
        Arm(new(CompletionFaultKind.Status, 2, 0x80), new() { Opcode = 1, Count = 1 });
        bench.Put(Data, Pattern(512));
        Assert.Equal(NvmeStatus.WriteFault, bench.Io(Transfer(1, 3, 1)).Code);
        var media = new byte[512];
        bench.Backends[0].Read(3 * 512, media);
        Assert.Equal(new byte[512], media);
    }

    [Fact]
    public void A_command_that_times_out_has_no_completion_and_others_go_on()
    {
        Arm(new(CompletionFaultKind.Timeout), new() { Opcode = 2, Count = 1 });
        var lost = bench.Queue(1, Transfer(2, 0, 1));
        var kept = bench.Queue(1, Transfer(2, 1, 1));
        bench.Ring(1);
        bench.Pass();
        Assert.Equal([kept], bench.PopAll(1).Select(c => c.Cid));
        bench.Pass(1_000_000_000);
        Assert.Empty(bench.PopAll(1));
        Assert.NotEqual(lost, kept);
        Assert.NotNull(Assert.Single(plan.Firings).SuppressedBy);
    }

    [Fact]
    public void Commands_that_never_complete_hold_their_places_in_a_restored_controller_too()
    {
        Arm(new(CompletionFaultKind.Timeout), new() { Opcode = 2 });
        for (var left = NvmeTestBench.Entries - 1; left > 0; left--)
        {
            bench.Queue(1, Transfer(2, 0, 1));
        }

        bench.Ring(1);
        bench.Pass();
        plan.Clear();
        var saved = bench.Save();
        bench.Load(saved);
        Assert.Equal(saved.Device, bench.Save().Device);
        bench.Queue(1, Transfer(2, 0, 1));
        bench.Ring(1);
        bench.Pass();
        Assert.Empty(bench.PopAll(1));
    }

    [Fact]
    public void Admin_commands_are_named_with_0x100_added()
    {
        Arm(new(CompletionFaultKind.Status, 0, 6), new() { Opcode = 0x106, Count = 1 });
        Assert.Equal(NvmeStatus.InternalError, bench.Admin(new() { Cdw0 = 6, PRP1 = Data, Cdw10 = 1 }).Code);
        AssertOk(bench.Admin(new() { Cdw0 = 6, PRP1 = Data, Cdw10 = 1 }));
    }

    [Fact]
    public void A_pulled_device_reads_as_ones_and_moves_nothing_more()
    {
        Arm(new(CompletionFaultKind.SurpriseRemoval), new() { Opcode = 2 });
        bench.Queue(1, Transfer(2, 0, 8));
        bench.Ring(1);
        bench.Put(Data, Pattern(4096));
        bench.Pass();
        Assert.Empty(bench.PopAll(1));
        Assert.Equal(Pattern(4096), bench.Bytes(Data, 4096));
        Assert.Equal(uint.MaxValue, (uint)bench.Load(NvmeRegister.CSTS, 4));
        Assert.Null(bench.Host.Pci.Find(bench.Controller.Function.Address.DevFn));
        Assert.Equal([bench.Controller.Function.Address], plan.Removed);
    }
}
