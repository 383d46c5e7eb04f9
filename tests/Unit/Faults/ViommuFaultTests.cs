using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Memory;
using Vmm.Specs.Virtio;
using Vmm.Unit.Virtio;
using Vmm.Unit.VirtioIommu;
using Vmm.VirtioIommu;
using Xunit;
using static Vmm.Unit.VirtioIommu.ViommuBench;
using S = Vmm.Specs.Virtio.VirtioIommuStatus;

namespace Vmm.Unit.Faults;

/// <summary>What rules make of requests to a virtio-iommu, and of what it has cached.</summary>
public sealed class ViommuFaultTests : IDisposable
{
    const uint Domain = 7;
    const ulong Iova = 0x5000, First = 0x30_0000, Second = 0x40_0000;

    readonly ViommuDriver driver = new ViommuDriver().Start();
    readonly FaultPlan plan;

    public ViommuFaultTests()
    {
        plan = new(driver.Bench.Clock, driver.Bench.Fabric);
        driver.Ask(AttachBytes(Domain, Disk.Value));
        Assert.Equal(S.Ok, Map(Iova, First));
    }

    public void Dispose() => driver.Dispose();

    S Map(ulong start, ulong physical, ulong length = 0x1000) => driver.Ask(MapBytes(Domain, start, start + length - 1, physical, 3));

    S Unmap(ulong start = Iova, ulong length = 0x1000) => driver.Ask(UnmapBytes(Domain, start, start + length - 1));

    void Arm(FaultAction action, FaultMatch? match = null) => plan.Arm(new("r", match ?? new() { Count = 1 }, action));

    void Keep(FaultMatch? match = null) => Arm(new CacheFault(), (match ?? new() { Count = 1 }) with { Device = Disk });

    /// <summary>Puts a request into the queue without waiting for an answer.</summary>
    void Submit(byte[] request, int slot)
    {
        var (at, reply) = (ViommuDriver.Request + (ulong)slot * 256, ViommuDriver.Reply + (ulong)slot * 256);
        driver.Bench.Put(at, request);
        driver.Bench.Put(reply, [0xEE, 0xEE, 0xEE, 0xEE]);
        driver.Requests.Add(new Piece(at, (uint)request.Length), new Piece(reply, 4, true));
        driver.Bench.Notify();
    }

    S? Answer(int slot) => driver.Bench.Bytes(ViommuDriver.Reply + (ulong)slot * 256, 1)[0] is var status && status == 0xEE ? null : (S)status;

    void Pass(ulong nanoseconds)
    {
        driver.Bench.Clock.Charge(driver.Bench.Clock.ToCycles(nanoseconds, 1_000_000_000));
        driver.Bench.Clock.RunDue();
    }

    /// <summary>Where the disk's accesses to an address end: the page that a write changes.</summary>
    ulong? Target(ulong iova = Iova) => driver.Device.TryTranslate(new(Disk, new(iova), DmaAccess.Write), out var window) ? window.Address.Value : null;

    FaultFiring Fired => Assert.Single(plan.Firings);

    [Theory]
    [InlineData(0u, 0)]
    [InlineData(1u, 1)]
    [InlineData(2u, 2)]
    [InlineData(7u, 0)]
    public void A_translation_fault_has_one_of_the_three_reasons(uint reason, byte told)
    {
        driver.OfferEvent();
        Arm(new TranslationFault(reason, 0));
        Assert.False(driver.Read(Iova));
        Assert.Equal(told, driver.Bench.Bytes(ViommuDriver.Events, 1)[0]);
        Assert.Null(Fired.SuppressedBy);
        Assert.True(driver.Read(Iova));
    }

    [Fact]
    public void A_skipped_unmap_is_answered_and_changes_nothing()
    {
        Arm(new InvalidationFault(InvalidationFaultKind.Skip), new() { Opcode = 4, Address = new(Iova, 1), Count = 1 });
        Assert.Equal(S.Ok, Unmap());
        Assert.Equal(First, Target());
        Assert.NotNull(Fired.SuppressedBy);
        Assert.Equal(S.Ok, Unmap());
        Assert.Null(Target());
    }

    [Fact]
    public void A_delayed_unmap_is_done_and_answered_late_and_so_is_what_stands_behind_it()
    {
        Arm(new InvalidationFault(InvalidationFaultKind.Delay, 5_000));
        Submit(UnmapBytes(Domain, Iova, Iova + 0xFFF), 0);
        Submit(MapBytes(Domain, Iova, Iova + 0xFFF, Second, 3), 1);
        Pass(4_900);
        Assert.Equal((null, null), (Answer(0), Answer(1)));
        Assert.Equal(First, Target());
        Assert.True(driver.Read(Iova));
        Pass(200);
        Assert.Equal((S.Ok, S.Ok), (Answer(0), Answer(1)));
        Assert.Equal(Second, Target());
        Assert.Equal("the queue waits 5000 ns", Fired.Effect);
        Assert.NotNull(driver.Requests.TryPop());
        Assert.NotNull(driver.Requests.TryPop());
        Assert.Null(driver.Requests.TryPop());
    }

    [Fact]
    public void A_delayed_detach_leaves_the_endpoint_where_it_is_until_then()
    {
        Arm(new InvalidationFault(InvalidationFaultKind.Delay, 5_000), new() { Opcode = 2, Device = Disk });
        Submit(DetachBytes(Domain, Disk.Value), 0);
        Assert.Equal(First, Target());
        Pass(5_000);
        Assert.Equal(S.Ok, Answer(0));
        Assert.Null(Target());
    }

    [Fact]
    public void A_queue_that_never_goes_on_does_after_a_reset()
    {
        Arm(new InvalidationFault(InvalidationFaultKind.NeverComplete));
        Submit(UnmapBytes(Domain, Iova, Iova + 0xFFF), 0);
        Submit(UnmapBytes(Domain, Iova, Iova + 0xFFF), 1);
        Pass(10_000_000_000);
        Assert.Equal((null, null), (Answer(0), Answer(1)));
        Assert.Equal(First, Target());
        driver.Start();
        Assert.Equal(S.Ok, driver.Ask(AttachBytes(Domain, Disk.Value)));
        Assert.Equal(S.Ok, Map(Iova, Second));
    }

    [Fact]
    public void A_reset_while_a_request_is_held_back_drops_it()
    {
        Arm(new InvalidationFault(InvalidationFaultKind.Delay, 5_000));
        Submit(UnmapBytes(Domain, Iova, Iova + 0xFFF), 3);
        driver.Start();
        driver.Ask(AttachBytes(Domain, Disk.Value));
        Map(Iova, Second);
        Pass(10_000);
        Assert.Null(Answer(3));
        Assert.Equal(Second, Target());
    }

    [Theory]
    [InlineData(InvalidationFaultKind.QueueError)]
    [InlineData(InvalidationFaultKind.TimeoutError)]
    [InlineData(InvalidationFaultKind.CompletionError)]
    public void An_error_is_answered_with_DEVERR_and_nothing_is_done(InvalidationFaultKind kind)
    {
        Arm(new InvalidationFault(kind));
        Assert.Equal(S.DevErr, Unmap());
        Assert.Equal(First, Target());
        Assert.Null(Fired.SuppressedBy);
    }

    [Fact]
    public void A_stale_translation_survives_its_unmap_and_ends_with_the_next()
    {
        Keep();
        Assert.Equal(S.Ok, Unmap());
        Assert.Equal(0, driver.Device.MappingCount);
        Assert.Equal(First, Target());
        Assert.True(driver.Read(Iova));
        Assert.Equal("1 translations kept", Fired.Effect);
        Assert.NotNull(Fired.SuppressedBy);
        Assert.Equal(S.Ok, Map(Iova, Second));
        Assert.Equal(First, Target());
        Assert.Equal(S.Ok, Unmap());
        Assert.Null(Target());
        Assert.False(driver.Read(Iova));
    }

    [Fact]
    public void A_rule_of_a_device_elsewhere_or_of_other_addresses_keeps_nothing()
    {
        Arm(new CacheFault(), new() { Device = Nic });
        Assert.Equal(S.Ok, Unmap());
        Assert.Null(Target());
        plan.Clear();
        Map(Iova, First);
        Keep(new() { Address = new(Iova + 0x1000, 0x1000) });
        Assert.Equal(S.Ok, Unmap());
        Assert.Null(Target());
        Assert.Empty(plan.Firings);
    }

    [Fact]
    public void An_unmap_that_fails_or_finds_nothing_asks_no_rule()
    {
        Map(0x10000, Second, 0x4000);
        Keep();
        Assert.Equal(S.Range, Unmap(0x11000));
        Assert.Equal(S.Ok, Unmap(0x40000));
        Assert.Empty(plan.Firings);
        Assert.Equal(S.Ok, Unmap(0x10000, 0x4000));
        Assert.Equal(Second + 0x1000, Target(0x11000));
    }

    [Fact]
    public void The_end_of_the_domain_ends_what_was_stale_there()
    {
        Keep();
        Unmap();
        Assert.Equal(S.Ok, driver.Ask(DetachBytes(Domain, Disk.Value)));
        Assert.Equal(S.Ok, driver.Ask(AttachBytes(Domain, Disk.Value)));
        Assert.Null(Target());
    }

    [Fact]
    public void A_larger_mapping_around_a_stale_one_is_used_up_to_it_whatever_was_used_before()
    {
        Keep();
        Unmap();
        Map(Iova - 0x1000, Second, 0x3000);
        foreach (var at in (ulong[])[0, 0x1000, 0x2000, 0, 0x2000, 0x1000])
        {
            Assert.True(driver.Port.TryWrite(new Iova(Iova - 0x1000 + at), at + 1));
        }

        ulong Word(ulong at) => driver.Bench.Memory.TryRead(new Gpa(at), out ulong word) ? word : ulong.MaxValue;
        Assert.Equal((1ul, 0x1001ul, 0ul, 0x2001ul), (Word(Second), Word(First), Word(Second + 0x1000), Word(Second + 0x2000)));
    }

    [Fact]
    public void Emptying_the_cache_ends_what_was_stale()
    {
        Keep();
        Unmap();
        Assert.True(driver.Read(Iova));
        Assert.Equal(1, driver.Device.StaleCount);
        Assert.True(driver.Device.Explain(new(Disk, new(Iova), DmaAccess.Read)).IsCached);
        driver.Device.EvictAll();
        Assert.Equal(0, driver.Device.StaleCount);
        Assert.False(driver.Read(Iova));
    }

    [Fact]
    public void No_more_than_a_few_translations_are_stale_at_once()
    {
        for (var i = 0ul; i < 200; i++)
        {
            Map(0x100000 + i * 0x2000, Second);
        }

        Keep(new());
        Assert.Equal(S.Ok, driver.Ask(UnmapBytes(Domain, 0, 0xFFFF_FFFF)));
        Assert.Equal("64 translations kept", Fired.Effect);
        var stale = Enumerable.Range(0, 200).Count(i => Target(0x100000 + (ulong)i * 0x2000) != null);
        Assert.Equal(63, stale);
        Assert.Equal(First, Target());
    }

    [Fact]
    public void A_restored_device_has_what_was_held_back_and_what_was_stale()
    {
        Map(0x9000, Second);
        Keep();
        Unmap();
        plan.Clear();
        Arm(new InvalidationFault(InvalidationFaultKind.Delay, 5_000));
        Submit(UnmapBytes(Domain, 0x9000, 0x9FFF), 0);
        var state = driver.Bench.Save();
        using var restored = new ViommuDriver();
        restored.Bench.Load(state);
        restored.Bench.Clock.SwitchTo(driver.Bench.Clock.Now);
        for (ulong page = 0; page < 16 << 20; page += 4096)
        {
            restored.Bench.Put(page, driver.Bench.Bytes(page, 4096));
        }

        Assert.Equal(state.Device, restored.Bench.Save().Device);
        Assert.True(restored.Device.TryTranslate(new(Disk, new(Iova), DmaAccess.Read), out var window) && window.Address.Value == First);
        restored.Bench.Clock.SwitchTo(driver.Bench.Clock.Now + driver.Bench.Clock.ToCycles(5_000, 1_000_000_000));
        Assert.True(restored.Device.TryTranslate(new(Disk, new(0x9000), DmaAccess.Read), out _));
        restored.Bench.Clock.RunDue();
        Assert.False(restored.Device.TryTranslate(new(Disk, new(0x9000), DmaAccess.Read), out _));
        Assert.Equal((byte)S.Ok, restored.Bench.Bytes(ViommuDriver.Reply, 1)[0]);
    }
}
