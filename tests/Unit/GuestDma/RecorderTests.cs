using Vmm.Beds;
using Vmm.Cli;
using Vmm.GuestDma;
using Vmm.Platform.Time;
using Xunit;

namespace Vmm.Unit.GuestDma;

/// <summary>The instrument that counts kernels and the layer alike.</summary>
public sealed class RecorderTests
{
    const ulong Registers = 0xFED9_0000;

    readonly VirtualClock clock = new();
    readonly Dictionary<ulong, ulong> tables = [], memory = [];

    DmaRecorder Create(bool isDeferred = false) =>
        new(clock, (Registers, 0x1000), a => tables.TryGetValue(a >> 12, out var page) ? page | a & 0xFFF : null, a => memory.GetValueOrDefault(a), isDeferred);

    static void Begin(DmaRecorder recorder, int cid, ulong first, ulong second, int length, int psdt = 0, int opcode = 2) =>
        recorder.Write("pci_nvme_io_cmd", $"cid {cid} nsid 0x1 sqid 1 opc 0x{opcode:x} psdt {psdt} prp1 0x{first:x} prp2 0x{second:x} length {length}");

    static void End(DmaRecorder recorder, int cid) =>
        recorder.Write("pci_nvme_enqueue_req_completion", $"cid {cid} cqid 1 dw0 0x0 dw1 0x10005 status 0x0");

    static void Invalidate(DmaRecorder recorder, ulong page, int mask)
    {
        recorder.Write("vtd_inv_desc", $"invalidate desc type Iotlb high 0x{page | (uint)mask:x} low 0x300f2");
        recorder.Write("vtd_inv_desc", "invalidate desc type Wait high 0x1000 low 0x100000025");
        recorder.Write("kvm_mmio", $"mmio write len 4 gpa 0x{Registers + 0x88:x} val 0x20");
    }

    [Fact]
    public void A_list_of_pages_is_followed_to_the_next_list()
    {
        const int Pages = 700;
        for (var i = 0ul; i < Pages; i++)
        {
            tables[0x1000 + i] = (0x50000 + 2 * i) << 12;
        }

        (tables[0x900], tables[0x901]) = (0x10000, 0x20000);
        for (var i = 0ul; i < 511; i++)
        {
            memory[0x10000 + i * 8] = (0x1001 + i) << 12;
        }

        memory[0x10FF8] = 0x901000;
        for (var i = 511ul; i < Pages - 1; i++)
        {
            memory[0x20000 + (i - 511) * 8] = (0x1001 + i) << 12;
        }

        var recorder = Create();
        Begin(recorder, 7, 0x1000200, 0x900000, Pages * 4096 - 0x200);
        var buffer = recorder.Steps.Single().Buffer;
        Assert.False(buffer.ToDevice);
        Assert.Equal(Pages, buffer.Pages.Length);
        Assert.Equal(0x5000_0200ul, buffer.Pages[0]);
        Assert.Equal((0x50000ul + 2 * (Pages - 1)) << 12, buffer.Pages[^1]);
        Assert.Equal(Pages, buffer.Runs().Count());
        Assert.Equal(Pages * 4096 - 0x200, buffer.Runs().Sum(static r => r.Bytes));
    }

    [Fact]
    public void A_scatter_gather_descriptor_is_one_buffer_and_neighbours_are_one_run()
    {
        (tables[0x10], tables[0x11], tables[0x12]) = (0x5000, 0x6000, 0x9000);
        var recorder = Create();
        Begin(recorder, 1, 0x10000, 0x2800, 0x2800, psdt: 1, opcode: 1);
        var buffer = recorder.Steps.Single().Buffer;
        Assert.True(buffer.ToDevice);
        Assert.Equal([(0x5000ul, 0x2000), (0x9000ul, 0x800)], buffer.Runs());
    }

    [Fact]
    public void An_invalidation_is_for_the_unmap_of_a_buffer_that_is_done_and_gone_and_else_for_a_map()
    {
        tables[0x10] = 0x5000;
        var recorder = Create();
        Invalidate(recorder, 0x10000, 0);
        Begin(recorder, 1, 0x10000, 0, 4096);
        End(recorder, 1);
        // A neighbour's mapping, whose mask covers the buffer while it is still mapped.
        Invalidate(recorder, 0x10000, 1);
        tables.Remove(0x10);
        Invalidate(recorder, 0x10000, 2);
        // The same address anew.
        tables[0x10] = 0x7000;
        Invalidate(recorder, 0x10000, 0);
        Assert.Equal([true, true, false, true], recorder.Exits.Select(static e => e.IsForMap));
        Assert.Equal(new(Buffers: 1, MapExits: 3, UnmapExits: 1, MapPages: 3, UnmapPages: 1, Covered: 8, Drained: 4, Waits: 4), recorder.Tally);
    }

    [Fact]
    public void A_notification_is_for_the_last_request_and_one_that_carries_a_whole_mapping_is_noticed()
    {
        (tables[0x10], tables[0x11]) = (0x5000, 0x8000);
        var recorder = Create();
        void Map(int page) => recorder.Write("virtio_iommu_map", $"domain=1 virt_start=0x{page:x}000 virt_end=0x{page:x}fff phys_start=0x5000 flags=2");
        void Unmap() => recorder.Write("virtio_iommu_unmap", "domain=1 virt_start=0x30000 virt_end=0x30fff");
        void Notify() => recorder.Write("kvm_mmio", $"mmio write len 2 gpa 0x{Registers:x} val 0x0");
        Map(0x10);
        Unmap();
        Notify();
        Map(0x11);
        Notify();
        Begin(recorder, 1, 0x10000, 0x11000, 8192);
        Assert.Equal(0, recorder.CarriedMaps);
        Map(0x10);
        Map(0x11);
        Unmap();
        Notify();
        Begin(recorder, 2, 0x10000, 0x11000, 8192);
        Assert.Equal(1, recorder.CarriedMaps);
        Assert.Equal(new(Buffers: 2, MapExits: 1, UnmapExits: 2, Maps: 4, Unmaps: 2), recorder.Tally);
        Notify();
        Assert.Equal(1, recorder.Idle);
    }

    /// <summary>The first processor's requests go along with the second's; what it then notifies of is only an UNMAP that came to wait.</summary>
    [Fact]
    public void A_notification_soon_after_a_shared_one_is_no_flush()
    {
        (tables[0x10], tables[0x11]) = (0x5000, 0x8000);
        var recorder = Create(isDeferred: true);
        void Map(int page) => recorder.Write("virtio_iommu_map", $"domain=1 virt_start=0x{page:x}000 virt_end=0x{page:x}fff phys_start=0x5000 flags=2");
        void Unmap() => recorder.Write("virtio_iommu_unmap", "domain=1 virt_start=0x30000 virt_end=0x30fff");
        void Notify() => recorder.Write("kvm_mmio", $"mmio write len 2 gpa 0x{Registers:x} val 0x0");
        Map(0x10);
        Map(0x11);
        Notify();
        Unmap();
        Notify();
        Begin(recorder, 1, 0x10000, 0, 4096);
        Begin(recorder, 2, 0x11000, 0, 4096);
        Assert.Equal(1, recorder.CarriedMaps);
        recorder.Finish();
        Assert.Equal(0, recorder.CarriedMaps);
        Assert.Equal(new(Buffers: 2, MapExits: 2, Maps: 2, Unmaps: 1), recorder.Tally);
        clock.Charge(clock.Hertz);
        Unmap();
        Notify();
        recorder.Finish();
        Assert.Equal(1, recorder.Tally.UnmapExits);
    }

    [Fact]
    public void Segments_of_descriptors_are_followed_and_a_circle_of_them_ends()
    {
        (tables[0x10], tables[0x11], tables[0x20]) = (0x5000, 0x9000, 0xA000);
        const ulong LastSegment = 3ul << 60;
        (memory[0xA000], memory[0xA008]) = (0x10000, 4096);
        (memory[0xA010], memory[0xA018]) = (0x20020, LastSegment | 16);
        (memory[0xA020], memory[0xA028]) = (0x11000, 4096);
        var recorder = Create();
        Begin(recorder, 1, 0x20000, 2ul << 60 | 32, 8192, psdt: 1);
        var buffer = recorder.Steps.Single().Buffer;
        Assert.Equal(0x10000ul, buffer.Address);
        Assert.Equal([0x5000ul, 0x9000], buffer.Pages);
        (memory[0xA010], memory[0xA018]) = (0x20010, LastSegment | 16);
        Begin(recorder, 2, 0x20010, LastSegment | 16, 8192, psdt: 1);
        Assert.Equal(1, recorder.Unknown);
        Assert.Single(recorder.Steps);
    }

    [Fact]
    public void Commands_of_a_hostile_guest_are_counted_as_unknown_or_as_they_are()
    {
        var random = new Random(5);
        for (var i = 0ul; i < 64; i++)
        {
            tables[i] = (ulong)random.Next(64) << 12;
        }

        for (var i = 0ul; i < 64 * 512; i++)
        {
            memory[i * 8] = random.Next(4) == 0 ? (ulong)random.NextInt64() : (ulong)random.Next(64 << 12);
        }

        var recorder = Create();
        ulong Some() => random.Next(3) == 0 ? (ulong)random.NextInt64() << 1 : (ulong)random.Next(64 << 12);
        for (var i = 0; i < 4000; i++)
        {
            switch (random.Next(4))
            {
                case 0:
                    Begin(recorder, random.Next(8), Some(), Some(), random.Next(1, 1 << 28), random.Next(4), random.Next(256));
                    break;
                case 1:
                    Begin(recorder, random.Next(8), Some(), Some(), random.Next(1, 16384), random.Next(2));
                    break;
                case 2:
                    End(recorder, random.Next(8));
                    break;
                default:
                    recorder.Write("vtd_inv_desc", $"invalidate desc type Iotlb high 0x{random.NextInt64():x} low 0x{random.NextInt64():x}");
                    recorder.Write("kvm_mmio", $"mmio write len 4 gpa 0x{Registers + 0x88:x} val 0x20");
                    break;
            }
        }

        Assert.NotEqual(0, recorder.Unknown);
        Assert.NotEqual(0, recorder.Tally.Buffers);
        Assert.InRange(recorder.Steps.Count, 1, 4000);
    }

    [Theory]
    [InlineData("strict", DmaPolicy.Strict, false)]
    [InlineData("lazy,from=A,to=B,hz=1000", DmaPolicy.Lazy, true)]
    [InlineData("lazy,guest=strict", DmaPolicy.Lazy, false)]
    public void The_option_says_what_the_layer_and_the_guest_do(string text, DmaPolicy policy, bool isDeferred)
    {
        var option = CompareOption.Parse(text);
        Assert.Equal((policy, isDeferred), (option.Policy, option.IsDeferred));
    }

    [Theory]
    [InlineData("eager")]
    [InlineData("strict,hz=0")]
    [InlineData("strict,whence=A")]
    [InlineData("from=A")]
    public void An_option_that_makes_no_sense_is_refused(string text) => Assert.Throws<UsageException>(() => CompareOption.Parse(text));

    /// <summary>600 buffers of 3 pages in two pieces, 20 us each: two full queues of 250 and a time-out.</summary>
    [Theory]
    [InlineData(false, DmaPolicy.Strict, 0, 600, 600, 0)]
    [InlineData(true, DmaPolicy.Strict, 600, 600, 600, 0)]
    [InlineData(false, DmaPolicy.Lazy, 0, 3, 0, 3)]
    [InlineData(true, DmaPolicy.Lazy, 600, 3, 0, 3)]
    public void A_replayed_sequence_costs_what_the_policy_says(bool cachingMode, DmaPolicy policy, int mapExits, int unmapExits, int unmapPages, int domains)
    {
        var tally = DmaReplay.Run(new() { CachingMode = cachingMode }, null, policy, 64 << 20, Sequence(), 100_000_000).Tally;
        Assert.Equal(
            new(
                Buffers: 600, MapExits: mapExits, UnmapExits: unmapExits, MapPages: mapExits, UnmapPages: unmapPages, Covered: 4 * (mapExits + unmapPages),
                Domains: domains, Drained: mapExits + unmapExits, Waits: mapExits + unmapExits),
            tally);
    }

    [Theory]
    [InlineData(DmaPolicy.Strict, 600)]
    [InlineData(DmaPolicy.Lazy, 3)]
    public void The_same_sequence_through_a_virtio_iommu(DmaPolicy policy, int unmapExits) =>
        Assert.Equal(
            new(Buffers: 600, MapExits: 600, UnmapExits: unmapExits, Maps: 1200, Unmaps: 600),
            DmaReplay.Run(null, new(), policy, 64 << 20, Sequence(), 100_000_000).Tally);

    static IEnumerable<DmaStep> Sequence()
    {
        for (var i = 0ul; i < 600; i++)
        {
            var start = 0x100_0000 + i % 16 * 0x10000;
            var buffer = new DmaBuffer(i % 2 == 0, 0, 0x3000, [start, start + 0x1000, start + 0x5000]);
            yield return new(10_000_000 + i * 42_240, buffer, 1, true);
            yield return new(10_000_000 + i * 42_240 + 21_120, buffer, 1, false);
        }
    }
}
