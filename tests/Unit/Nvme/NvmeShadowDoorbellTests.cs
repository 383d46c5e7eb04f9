using Vmm.Platform.Memory;
using Vmm.Specs.Nvme;
using Xunit;
using static Vmm.Unit.Nvme.NvmeTestBench;

namespace Vmm.Unit.Nvme;

public sealed class NvmeShadowDoorbellTests : IDisposable
{
    const ulong Doorbells = 0x30_000, Events = 0x31_000;

    readonly NvmeTestBench bench = new NvmeTestBench().Started();

    public NvmeShadowDoorbellTests() => AssertOk(bench.Admin(new() { Cdw0 = 0x7C, PRP1 = Doorbells, PRP2 = Events }));

    public void Dispose() => bench.Dispose();

    uint Word(ulong address)
    {
        Assert.True(bench.Memory.TryRead(new Gpa(address), out uint value));
        return value;
    }

    /// <summary>Publishes the tail as a driver does; rings only if it passed the event index. True when it rang.</summary>
    bool Publish()
    {
        var (old, now) = ((ushort)Word(Doorbells + 8), (ushort)bench.Tail(1));
        bench.Memory.TryWrite(new Gpa(Doorbells + 8), (uint)now);
        var passed = (ushort)(now - (ushort)Word(Events + 8) - 1) < (ushort)(now - old);
        if (passed)
        {
            bench.Ring(1);
        }

        return passed;
    }

    [Fact]
    public void An_idle_queue_asks_for_a_ring_and_a_busy_one_does_not()
    {
        bench.Queue(1, Transfer(2, 0, 1));
        Assert.True(Publish());
        bench.Queue(1, Transfer(2, 1, 1));
        Assert.False(Publish());
        bench.Queue(1, Transfer(2, 2, 1));
        Assert.False(Publish());
        bench.Pass();
        bench.Pass();
        Assert.Equal(3, bench.PopAll(1).Count);
        bench.Queue(1, Transfer(2, 3, 1));
        Assert.True(Publish());
        bench.Pass();
        Assert.Single(bench.PopAll(1));
    }

    [Fact]
    public void No_submission_is_ever_lost()
    {
        var random = new Random(5);
        var (submitted, completed, rings) = (0, 0, 0);
        for (var i = 0; i < 3000; i++)
        {
            for (var n = random.Next(4); n > 0 && submitted - completed < Entries - 2; n--)
            {
                bench.Queue(1, Transfer(2, 0, 1));
                submitted++;
                rings += Publish() ? 1 : 0;
            }

            bench.Pass((ulong)random.Next(15_000));
            while (bench.TryPop(1) != null)
            {
                completed++;
            }

            // Completion heads only go to the shadow; the controller looks when it needs to know.
            bench.Memory.TryWrite(new Gpa(Doorbells + 12), bench.Head(1));
        }

        bench.Pass();
        bench.Pass();
        while (bench.TryPop(1) != null)
        {
            completed++;
        }

        Assert.Equal(submitted, completed);
        Assert.InRange(rings, 1, submitted * 3 / 4);
    }

    [Fact]
    public void A_full_completion_queue_asks_for_a_ring_of_its_head()
    {
        for (var i = 0; i < 15; i++)
        {
            bench.Queue(1, Transfer(2, 0, 1));
        }

        Publish();
        bench.Pass();
        Assert.Equal(15, Enumerable.Range(0, 20).Count(_ => bench.TryPop(1) != null));
        bench.Queue(1, Transfer(2, 0, 1));
        bench.Queue(1, Transfer(2, 0, 1));
        Publish();
        bench.Pass();
        Assert.Null(bench.TryPop(1));
        Assert.Equal(0u, Word(Events + 12));
        bench.Memory.TryWrite(new Gpa(Doorbells + 12), bench.Head(1));
        bench.RingHead(1);
        bench.Pass();
        Assert.NotNull(bench.TryPop(1));
        Assert.NotNull(bench.TryPop(1));
    }

    [Fact]
    public void The_admin_queue_works_by_ringing_alone()
    {
        AssertOk(bench.Admin(new() { Cdw0 = 10, Cdw10 = 7 }));
        Assert.Equal(bench.Tail(0), Word(Doorbells));
        Assert.Equal(bench.Tail(0), Word(Events));
    }

    [Fact]
    public void Impossible_shadow_values_are_ignored()
    {
        bench.Memory.TryWrite(new Gpa(Doorbells + 8), 0xFFFF_FFFFu);
        bench.Memory.TryWrite(new Gpa(Doorbells + 12), 0xFFFF_FFFFu);
        bench.Queue(1, Transfer(2, 0, 1));
        bench.Ring(1);
        bench.Pass();
        Assert.Single(bench.PopAll(1));
        Assert.False(bench.Csts.CFS);
    }

    [Fact]
    public void Data_read_into_the_shadow_buffer_cannot_hold_the_machine()
    {
        // Each read submits another one by overwriting its own tail.
        var page = new byte[4096];
        for (var i = 0; i < 512; i++)
        {
            page[i * 8] = (byte)(i * 5 % Entries);
        }

        bench.Backends[0].Write(0, page);
        for (var i = 0; i < Entries; i++)
        {
            bench.Queue(1, Transfer(2, 0, 8, Doorbells));
        }

        bench.Store(0x1008, 5);
        for (var i = 0; i < 100; i++)
        {
            bench.Pass();
            bench.PopAll(1);
        }

        Assert.False(bench.Csts.CFS);
    }

    [Theory]
    [InlineData(Doorbells + 8, Events)]
    [InlineData(Doorbells, Events + 0x800)]
    public void Buffers_must_be_aligned_to_pages(ulong doorbells, ulong events)
    {
        Assert.Equal(NvmeStatus.InvalidField, bench.Admin(new() { Cdw0 = 0x7C, PRP1 = doorbells, PRP2 = events }).Code);
    }

    [Fact]
    public void Buffers_that_cannot_be_reached_are_fatal()
    {
        bench.Queue(0, new() { Cdw0 = 0x7C, PRP1 = 0x7FFF_F000, PRP2 = 0x7FFF_E000 });
        bench.Ring(0);
        bench.Pass();
        Assert.True(bench.Csts.CFS);
    }

    [Fact]
    public void A_reset_switches_the_buffers_off()
    {
        bench.Store(NvmeRegister.CC, 0);
        bench.Memory.TryWrite(new Gpa(Doorbells), new byte[64]);
        bench.Started();
        AssertOk(bench.Io(Transfer(2, 0, 1)));
        Assert.Equal(0u, Word(Doorbells));
    }

    [Fact]
    public void The_buffers_survive_a_snapshot()
    {
        var saved = bench.Save();
        bench.Controller.Function.Reset();
        bench.Load(saved);
        bench.Queue(1, Transfer(2, 0, 1));
        Assert.True(Publish());
        bench.Queue(1, Transfer(2, 0, 1));
        Assert.False(Publish());
        bench.Pass();
        bench.Pass();
        Assert.Equal(2, bench.PopAll(1).Count);
    }
}
