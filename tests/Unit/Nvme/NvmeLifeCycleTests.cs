using Vmm.Nvme;
using Vmm.Platform.Memory;
using Vmm.Specs.Nvme;
using Xunit;
using static Vmm.Unit.Nvme.NvmeTestBench;

namespace Vmm.Unit.Nvme;

public sealed class NvmeLifeCycleTests : IDisposable
{
    readonly NvmeTestBench bench = new();

    public void Dispose() => bench.Dispose();

    [Fact]
    public void Capabilities_are_read_only_and_true()
    {
        bench.Store(NvmeRegister.CAP, 0, 8);
        var cap = new NvmeCap(bench.Load(NvmeRegister.CAP, 8));
        Assert.Equal(1023, cap.MQES);
        Assert.True(cap.CQR);
        Assert.Equal(0, cap.DSTRD);
        Assert.Equal(0, cap.MPSMIN);
        Assert.Equal(4, cap.MPSMAX);
        Assert.Equal(0x0001_0400ul, bench.Load(NvmeRegister.VS, 4));
        Assert.Equal(0ul, bench.Load(NvmeRegister.CMBSZ, 4));
    }

    [Fact]
    public void Enabling_makes_it_ready_and_disabling_ends_that()
    {
        Assert.False(bench.Csts.RDY);
        bench.Enable();
        Assert.True(bench.Csts.RDY);
        Assert.False(bench.Csts.CFS);
        bench.Store(NvmeRegister.CC, 0x0046_0000);
        Assert.False(bench.Csts.RDY);
        Assert.Equal(AdminSq, bench.Load(NvmeRegister.ASQ, 8));
    }

    [Theory]
    [InlineData(0x0046_0011u)]
    [InlineData(0x0046_0061u)]
    [InlineData(0x0046_0281u)]
    [InlineData(0x0046_0781u)]
    [InlineData(0x0046_0801u)]
    [InlineData(0x0046_3801u)]
    public void An_impossible_configuration_is_a_fatal_status_that_a_reset_mends(uint config)
    {
        bench.Enable(config);
        Assert.True(bench.Csts.CFS);
        Assert.False(bench.Csts.RDY);
        bench.Store(0x1000, 1);
        bench.Pass();
        bench.Store(NvmeRegister.CC, 0);
        bench.Enable();
        Assert.True(bench.Csts.RDY);
        Assert.False(bench.Csts.CFS);
    }

    [Theory]
    [InlineData(0x000F_0000u)]
    [InlineData(0x0000_000Fu)]
    [InlineData(0u)]
    public void Admin_queues_of_one_entry_are_impossible(uint attributes)
    {
        bench.Store(NvmeRegister.AQA, attributes);
        bench.Store(NvmeRegister.ASQ, AdminSq, 8);
        bench.Store(NvmeRegister.ACQ, AdminCq, 8);
        bench.Store(NvmeRegister.CC, 0x0046_0001);
        Assert.True(bench.Csts.CFS);
    }

    [Fact]
    public void Admin_queues_of_4096_entries_work()
    {
        bench.Store(NvmeRegister.AQA, 0x0FFF_0FFF);
        bench.Store(NvmeRegister.ASQ, 0x100_000, 8);
        bench.Store(NvmeRegister.ACQ, 0x200_000, 8);
        bench.Store(NvmeRegister.CC, 0x0046_0001);
        Assert.True(bench.Csts.RDY);
        bench.Store(0x1000, 4095);
        bench.Pass();
        Assert.Equal(1024, Completions());
        for (var i = 0; i < 4; i++)
        {
            bench.Pass();
        }

        Assert.Equal(4095, Completions());

        int Completions() => Enumerable.Range(0, 4096).Count(i => (bench.Bytes(0x200_00E + (ulong)i * 16, 1)[0] & 1) == 1);
    }

    [Fact]
    public void The_low_bits_of_queue_addresses_are_reserved_and_larger_pages_need_larger_alignment()
    {
        bench.Store(NvmeRegister.ASQ, 0x10_FFF, 8);
        Assert.Equal(0x10_000ul, bench.Load(NvmeRegister.ASQ, 8));
        bench.Store(NvmeRegister.ACQ + 4, 0x12);
        Assert.Equal(0x12_0000_0000ul, bench.Load(NvmeRegister.ACQ, 8));
        bench.Store(NvmeRegister.AQA, 0x000F_000F);
        bench.Store(NvmeRegister.ACQ, 0x11_000, 8);
        bench.Store(NvmeRegister.CC, 0x0046_0081);
        Assert.True(bench.Csts.CFS);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Shutdown_finishes_flushes_and_reports(int kind)
    {
        var disk = new FaultyBackend(1 << 20);
        using var other = new NvmeTestBench(null, disk).Started();
        other.Queue(1, Transfer(1, 0, 1));
        other.Ring(1);
        other.Store(NvmeRegister.CC, 0x0046_0001u | (uint)kind << 14);
        Assert.Equal(2, other.Csts.SHST);
        Assert.Equal(1, disk.Flushes);
        AssertOk(other.TryPop(1)!.Value);
        other.Store(NvmeRegister.CC, 0x0046_0001);
        Assert.Equal(0, other.Csts.SHST);
    }

    [Fact]
    public void A_reset_forgets_commands_in_flight()
    {
        bench.Started();
        bench.Queue(1, Transfer(2, 0, 8));
        bench.Ring(1);
        bench.Store(NvmeRegister.CC, 0);
        bench.Pass();
        Assert.Null(bench.TryPop(1));
        Assert.Empty(bench.Sink.Messages);
        Assert.Equal(ulong.MaxValue, bench.Clock.NextDue);
    }

    [Fact]
    public void After_a_reset_queues_must_be_created_anew()
    {
        bench.Started();
        bench.Store(NvmeRegister.CC, 0);
        bench.Enable();
        bench.Store(0x1008, 1);
        bench.Pass();
        Assert.Null(bench.TryPop(1));
        bench.CreateQueue(vector: 1);
        AssertOk(bench.Io(Transfer(2, 0, 8)));
    }

    [Fact]
    public void A_function_level_reset_puts_everything_back_and_counts_as_unsafe()
    {
        bench.Started();
        var bar = bench.Bar;
        bench.Controller.Function.Reset();
        bench.Controller.Function.Bars[0].Assign(bar);
        bench.SetCommand(6);
        Assert.False(bench.Csts.RDY);
        Assert.Equal(0ul, bench.Load(NvmeRegister.ASQ, 8));
        bench.Started();
        Assert.Equal(1, bench.Log(2)[SmartLog.UnsafeShutdowns]);
        bench.Store(NvmeRegister.CC, 0x0046_4001);
        bench.Controller.Function.Reset();
        bench.Controller.Function.Bars[0].Assign(bar);
        bench.SetCommand(6);
        bench.Started();
        Assert.Equal(1, bench.Log(2)[SmartLog.UnsafeShutdowns]);
    }

    [Fact]
    public void A_submission_queue_that_cannot_be_fetched_is_fatal()
    {
        bench.Store(NvmeRegister.AQA, 0x000F_000F);
        bench.Store(NvmeRegister.ASQ, 0x7FFF_F000, 8);
        bench.Store(NvmeRegister.ACQ, AdminCq, 8);
        bench.Store(NvmeRegister.CC, 0x0046_0001);
        Assert.True(bench.Csts.RDY);
        bench.Store(0x1000, 1);
        Assert.True(bench.Csts.CFS);
        bench.Store(0x1000, 2);
        bench.Pass();
        Assert.Equal(ulong.MaxValue, bench.Clock.NextDue);
    }

    [Fact]
    public void A_completion_queue_that_cannot_be_written_is_fatal()
    {
        bench.Store(NvmeRegister.AQA, 0x000F_000F);
        bench.Store(NvmeRegister.ASQ, AdminSq, 8);
        bench.Store(NvmeRegister.ACQ, 0x7FFF_F000, 8);
        bench.Store(NvmeRegister.CC, 0x0046_0001);
        bench.Store(0x1000, 1);
        Assert.False(bench.Csts.CFS);
        bench.Pass();
        Assert.True(bench.Csts.CFS);
    }

    [Fact]
    public void Without_bus_mastering_fetching_is_fatal()
    {
        bench.Started();
        bench.SetCommand(2);
        bench.Queue(1, Transfer(2, 0, 1));
        bench.Ring(1);
        Assert.True(bench.Csts.CFS);
    }

    [Fact]
    public void Surprise_removal_under_load_ends_quietly()
    {
        bench.Started();
        for (var i = 0; i < 10; i++)
        {
            bench.Queue(1, Transfer(2, 0, 8));
        }

        bench.Ring(1);
        bench.Host.Pci.Remove(bench.Controller.Function);
        bench.Pass();
        Assert.Null(bench.TryPop(1));
        Assert.Empty(bench.Sink.Messages);
        Assert.Equal(ulong.MaxValue, bench.Clock.NextDue);
    }

    [Theory]
    [InlineData("IoQueues", 0)]
    [InlineData("IoQueues", 65)]
    [InlineData("Vectors", 66)]
    [InlineData("QueueEntries", 1)]
    [InlineData("MaxTransferPages", 9)]
    [InlineData("BlockSize", 513)]
    public void Wrong_settings_are_refused_by_name(string field, int value)
    {
        var options = new NvmeOptions { Namespaces = [new(bench.Backends[0], field == "BlockSize" ? value : 512)] };
        options = field switch
        {
            "IoQueues" => options with { IoQueues = value },
            "Vectors" => options with { Vectors = value },
            "QueueEntries" => options with { QueueEntries = value },
            "MaxTransferPages" => options with { MaxTransferPages = value },
            _ => options,
        };
        var problem = Assert.Throws<ArgumentException>(() =>
            new NvmeController("x", new(0, 9, 0), bench.Fabric, bench.Clock, options));
        Assert.Contains(field, problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_snapshot_in_mid_flight_goes_on_as_if_nothing_had_happened()
    {
        bench.Started();
        bench.Backends[0].Write(0, Pattern(8192));
        for (var i = 0; i < 5; i++)
        {
            bench.Admin(new() { Cdw0 = 9, Cdw10 = 0x0B, Cdw11 = 0x100 + (uint)i });
        }

        bench.Queue(0, new() { Cdw0 = 0x0C });
        bench.Ring(0);
        bench.Queue(1, Transfer(2, 0, 8));
        bench.Ring(1);
        bench.Pass(5_000);
        bench.Queue(1, Transfer(2, 8, 8, Data + 0x1000));
        bench.Ring(1);
        var saved = bench.Save();
        bench.Controller.Function.Reset();
        bench.Pass();
        Assert.Null(bench.TryPop(1));
        bench.Load(saved);
        Assert.Equal(saved.Device, bench.Save().Device);
        bench.Pass();
        Assert.Equal(2, bench.PopAll(1).Count);
        Assert.Equal(Pattern(8192), bench.Bytes(Data, 8192));
        Assert.NotEmpty(bench.Sink.Messages);
        Assert.Equal(0x104u, bench.Admin(new() { Cdw0 = 10, Cdw10 = 0x0B }).Result);
        AssertOk(bench.Io(Transfer(2, 0, 8)));
    }

    [Fact]
    public void A_damaged_snapshot_is_refused_or_survived()
    {
        bench.Started();
        bench.Queue(1, Transfer(2, 0, 8));
        bench.Ring(1);
        var (function, device) = bench.Save();
        var random = new Random(3);
        for (var round = 0; round < 2000; round++)
        {
            var copy = (byte[])device.Clone();
            for (var i = 0; i < 3; i++)
            {
                // The registers come first and would hide the rest; most damage goes behind them.
                copy[random.Next(round % 4 == 0 ? 0 : 4096, copy.Length)] = (byte)random.Next(256);
            }

            try
            {
                bench.Load((function, copy));
            }
            catch (Vmm.Platform.Snapshots.SnapshotException)
            {
            }

            for (var i = 0; i < 3; i++)
            {
                bench.Store(0x1000 + (ulong)random.Next(6) * 4, (uint)random.Next(16));
                bench.Pass();
            }

            bench.Sink.Messages.Clear();
        }

        bench.Load((function, device));
    }
}
