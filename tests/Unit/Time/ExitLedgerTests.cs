using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;
using Vmm.Specs.X86;
using Xunit;

namespace Vmm.Unit.Time;

public sealed class ExitLedgerTests
{
    static readonly CostModel Cost = CostModel.Default;

    static VirtualClock Clock(int vcpus = 1, bool counting = true) => new(cost: Cost, vcpus: vcpus, isCounting: counting);

    [Fact]
    public void A_charge_passes_time_and_is_counted_for_the_vcpu_and_the_device()
    {
        var clock = Clock(2);
        var ledger = clock.Ledger;
        var device = ledger.Account("nvme0");
        ledger.SwitchTo(1);
        ledger.Exit(ExitReason.EptMisconfiguration, ExitKind.Write, device.Handler, device);
        ledger.Charge(device, CostKind.DmaLine, 64);
        var expected = Cost[CostKind.MmioUser] + 64 * Cost[CostKind.DmaLine];
        Assert.Equal(expected, clock.Now);
        Assert.Equal(expected, ledger.Vcpu(1).Cycles);
        Assert.Equal(expected, device.Table.Cycles);
        Assert.Equal(1ul, ledger.Vcpu(1)[ExitReason.EptMisconfiguration, ExitKind.Write, ExitHandler.User].Count);
        Assert.Equal(64ul, ledger.Vcpu(1)[CostKind.DmaLine].Count);
        Assert.Equal(0ul, ledger.Vcpu(0).Cycles);
    }

    [Fact]
    public void Charges_between_turns_are_nobodys_but_the_devices()
    {
        var clock = Clock();
        var device = clock.Ledger.Account("nvme0");
        clock.Ledger.Charge(device, CostKind.WalkRead, 3);
        Assert.Equal(3 * Cost[CostKind.WalkRead], clock.Ledger.Between.Cycles);
        Assert.Equal(0ul, clock.Ledger.Vcpu(0).Cycles);
        Assert.Equal(clock.Ledger.Between.Cycles, device.Table.Cycles);
    }

    [Theory]
    [InlineData(ExitReason.Cpuid, ExitKind.None, ExitHandler.Kernel, CostKind.Cpuid)]
    [InlineData(ExitReason.Hlt, ExitKind.None, ExitHandler.Kernel, CostKind.Halt)]
    [InlineData(ExitReason.Vmcall, ExitKind.None, ExitHandler.Kernel, CostKind.Vmcall)]
    [InlineData(ExitReason.Rdmsr, ExitKind.None, ExitHandler.Kernel, CostKind.Msr)]
    [InlineData(ExitReason.Wrmsr, ExitKind.None, ExitHandler.User, CostKind.User)]
    [InlineData(ExitReason.IoInstruction, ExitKind.Read, ExitHandler.Kernel, CostKind.PortKernel)]
    [InlineData(ExitReason.IoInstruction, ExitKind.Write, ExitHandler.Eventfd, CostKind.PortEventfd)]
    [InlineData(ExitReason.IoInstruction, ExitKind.Write, ExitHandler.User, CostKind.PortUser)]
    [InlineData(ExitReason.EptMisconfiguration, ExitKind.Read, ExitHandler.Kernel, CostKind.MmioKernel)]
    [InlineData(ExitReason.EptMisconfiguration, ExitKind.Write, ExitHandler.Eventfd, CostKind.MmioEventfd)]
    [InlineData(ExitReason.EptViolation, ExitKind.Read, ExitHandler.User, CostKind.MmioUser)]
    [InlineData(ExitReason.EptViolation, ExitKind.None, ExitHandler.Kernel, CostKind.EptViolation)]
    [InlineData(ExitReason.ExternalInterrupt, ExitKind.None, ExitHandler.Kernel, CostKind.ExternalInterrupt)]
    [InlineData(ExitReason.PreemptionTimer, ExitKind.None, ExitHandler.Kernel, CostKind.PreemptionTimer)]
    [InlineData(ExitReason.CrAccess, ExitKind.Write, ExitHandler.Kernel, CostKind.Light)]
    [InlineData(ExitReason.TripleFault, ExitKind.None, ExitHandler.User, CostKind.User)]
    public void An_exit_costs_the_price_of_its_reason_and_handler(ExitReason reason, ExitKind kind, ExitHandler handler, CostKind price)
    {
        var clock = Clock();
        clock.Ledger.Exit(reason, kind, handler);
        Assert.Equal(Cost[price], clock.Now);
        Assert.Equal(new LedgerRow(ExitReasons.Name(reason, kind), handler, 1, Cost[price]), Assert.Single(clock.Ledger.Between.Rows));
    }

    [Fact]
    public void Every_reason_and_kind_has_a_cell_of_its_own()
    {
        var clock = Clock();
        var seen = 0;
        for (var reason = 0; reason < ExitReasons.Count; reason++)
        {
            for (var kind = 0; kind < ExitReasons.Kinds; kind++)
            {
                foreach (var handler in Enum.GetValues<ExitHandler>())
                {
                    clock.Ledger.Exit((ExitReason)reason, (ExitKind)kind, handler);
                    seen++;
                }
            }
        }

        Assert.Equal(seen, clock.Ledger.Between.Rows.Count(r => r.Count == 1 && r.Handler != null));
        Assert.Equal((ulong)seen, clock.Ledger.Between.ExitCount);
        Assert.Equal(clock.Now, clock.Ledger.Between.Cycles);
    }

    [Fact]
    public void Since_gives_what_was_charged_after_an_image_was_taken()
    {
        var clock = Clock(2);
        clock.Ledger.SwitchTo(0);
        clock.Ledger.Charge(CostKind.Lock, 5);
        var earlier = clock.Ledger.Take();
        clock.Ledger.Charge(CostKind.Lock, 2);
        clock.Ledger.Charge(clock.Ledger.Account("late"), CostKind.Atomic);
        var since = clock.Ledger.Take().Since(earlier);
        Assert.Equal(2ul, since.Vcpus[0][CostKind.Lock].Count);
        Assert.Equal(1ul, since.Devices["late"][CostKind.Atomic].Count);
        Assert.Equal(2 * Cost[CostKind.Lock] + Cost[CostKind.Atomic], since.Total.Cycles);
        Assert.Equal(7ul, clock.Ledger.Vcpu(0)[CostKind.Lock].Count);
    }

    [Fact]
    public void Reset_forgets_the_counts_and_keeps_the_time()
    {
        var clock = Clock();
        clock.Ledger.Charge(clock.Ledger.Account("x"), CostKind.Lock);
        clock.Ledger.Reset();
        Assert.Equal(0ul, clock.Ledger.Take().Total.Cycles);
        Assert.Equal(0ul, clock.Ledger.Account("x").Table.Cycles);
        Assert.Equal(Cost[CostKind.Lock], clock.Now);
    }

    [Fact]
    public void Without_counting_the_same_time_passes()
    {
        var clock = Clock(counting: false);
        clock.Ledger.Exit(ExitReason.Cpuid, ExitKind.None, ExitHandler.Kernel);
        clock.Ledger.Book(0, CostKind.Instruction, 5, 5);
        Assert.Equal(Cost[CostKind.Cpuid], clock.Now);
        Assert.Equal(0ul, clock.Ledger.Take().Total.Cycles);
    }

    [Fact]
    public void A_snapshot_holds_every_cell()
    {
        var clock = Clock(2);
        clock.Ledger.SwitchTo(1);
        clock.Ledger.Exit(ExitReason.IoInstruction, ExitKind.Write, ExitHandler.User, clock.Ledger.Account("uart0"));
        clock.Ledger.Book(0, CostKind.Instruction, 7, 7);
        clock.Ledger.SwitchTo(-1);
        clock.Ledger.Charge(CostKind.DmaLine, 3);
        var writer = new SnapshotWriter();
        clock.Ledger.Save(writer);
        var other = Clock(2);
        other.Ledger.Charge(other.Ledger.Account("gone"), CostKind.Lock);
        var reader = new SnapshotReader("ledger", 1, writer.Written.ToArray());
        other.Ledger.Load(reader);
        reader.End();
        var (a, b) = (clock.Ledger.Take(), other.Ledger.Take());
        Assert.Equal(a.Total.Rows, b.Total.Rows);
        Assert.Equal(a.Vcpus[1].Rows, b.Vcpus[1].Rows);
        Assert.Equal(a.Devices["uart0"].Rows, b.Devices["uart0"].Rows);
        Assert.Empty(b.Devices["gone"].Rows);
    }

    [Fact]
    public void A_damaged_section_is_refused()
    {
        var writer = new SnapshotWriter();
        writer.U16(2);
        writer.U16(1);
        writer.U16(ushort.MaxValue);
        writer.U64(1);
        writer.U64(1);
        var bad = Assert.Throws<SnapshotException>(() => Clock().Ledger.Load(new("ledger", 1, writer.Written.ToArray())));
        Assert.Contains("ledger cell 65535", bad.Message);
        Assert.Throws<SnapshotException>(() => Clock(3).Ledger.Load(new("ledger", 1, writer.Written.ToArray())));
    }

    [Fact]
    public void Charging_allocates_nothing()
    {
        var clock = Clock();
        var device = clock.Ledger.Account("nvme0");
        Charge(clock, device);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
        {
            Charge(clock, device);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        static void Charge(VirtualClock clock, LedgerAccount device)
        {
            clock.Ledger.Exit(ExitReason.IoInstruction, ExitKind.Write, ExitHandler.User, device);
            clock.Ledger.Charge(device, CostKind.DmaLine, 64);
        }
    }
}
