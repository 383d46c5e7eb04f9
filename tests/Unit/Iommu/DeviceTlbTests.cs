using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

/// <summary>Translation requests, translated requests and page requests (VT-d §4, §7.4).</summary>
public sealed class DeviceTlbTests : IDisposable
{
    const DmaAccess Ask = DmaAccess.Translation | DmaAccess.Read;

    readonly VtdBench bench = new(new() { Profile = VtdProfile.Scalable });
    readonly ulong directory;
    readonly ulong table;
    readonly ulong queue;
    readonly Answers answers = new();

    sealed class Answers : IDeviceTlb
    {
        public List<PageGroupResponse> Responses { get; } = [];

        public DeviceTlbCompletion Invalidate(in DeviceTlbInvalidation invalidation) => DeviceTlbCompletion.Completed;

        public void Respond(in PageGroupResponse response) => Responses.Add(response);
    }

    public DeviceTlbTests()
    {
        directory = bench.AttachScalable(VtdBench.Device);
        table = bench.Page();
        bench.SetPasid(directory, 1, 1 | 1 << 6, 1 << 23 | 7, table);
        queue = bench.Page();
        bench.Write64(0xD0, queue);
        bench.Write32(0xE4, 0x4051);
        bench.Write32(0xE8, 0xFEE0_3000);
        bench.Write32(0xE0, 0);
        bench.Unit.AttachDeviceTlb(VtdBench.Device, answers);
        bench.EnableScalable();
    }

    public void Dispose() => bench.Dispose();

    [Fact]
    public void A_translation_request_learns_rights_and_size_without_a_fault()
    {
        bench.Map(table, 0x20_0000, 0x60_0000 | 0x85, 2, tableBits: 7);
        Assert.True(bench.Dma(0x20_0000, Ask, out var window, pasid: 1));
        Assert.Equal((0x60_0000ul, 0x20_0000ul, true, false), (window.Address.Value, window.Length, window.Readable, window.Writable));
        Assert.True(bench.Dma(0x20_0000, Ask | DmaAccess.Write, out window, pasid: 1));
        Assert.Equal((true, false), (window.Readable, window.Writable));
        Assert.True(bench.Dma(0x40_0000, Ask, out window, pasid: 1));
        Assert.Equal((false, false), (window.Readable, window.Writable));
        Assert.Equal(0u, bench.Read32(0x34));
    }

    [Fact]
    public void Write_permission_is_granted_together_with_the_dirty_flag()
    {
        bench.Map(table, 0x1000, 0x5000 | 7, tableBits: 7);
        Assert.True(bench.Dma(0x1000, Ask, out var window, pasid: 1));
        Assert.False(window.Writable);
        Assert.True(bench.Dma(0x1000, Ask | DmaAccess.Write, out window, pasid: 1));
        Assert.True(window.Writable);
        Assert.Equal(0x5067ul, bench.Peek(bench.EntryAddress(table, 4, 0x1000)));
    }

    [Fact]
    public void A_broken_table_faults_a_translation_request_too()
    {
        bench.Map(table, 0x1000, 0x5000 | 7 | 1ul << 50, tableBits: 7);
        Assert.Equal(1, bench.AssertFault(FaultReason.FsReserved, 0x1000, Ask, pasid: 1).AT);
    }

    [Fact]
    public void Translated_requests_go_where_they_say()
    {
        Assert.Equal(0x1234_5678ul, bench.Translate(0x1234_5678, DmaAccess.Translated | DmaAccess.Write));
        bench.SetPasid(directory, 0, 1 | 4 << 6);
        Assert.Equal(0x1234_5678ul, bench.Translate(0x1234_5678, DmaAccess.Translated | DmaAccess.Write));
        var record = bench.AssertFault(FaultReason.SmOutputInInterruptRange, 0xFEE0_0000, DmaAccess.Translated | DmaAccess.Write);
        Assert.Equal(2, record.AT);
    }

    [Fact]
    public void Legacy_mode_allows_them_by_translation_type()
    {
        using var legacy = new VtdBench(new() { DeviceTlb = true });
        var root = legacy.AttachLegacy(VtdBench.Device, 7, lowBits: 1 | 1 << 2);
        legacy.Map(root, 0x1000, 0x5000 | 1);
        legacy.EnableLegacy();
        Assert.True(legacy.Dma(0x1000, Ask | DmaAccess.Write, out var window));
        Assert.Equal((0x5000ul, true, false), (window.Address.Value, window.Readable, window.Writable));
        Assert.Equal(0x9000ul, legacy.Translate(0x9000, DmaAccess.Translated | DmaAccess.Read));
        Assert.Equal(0x5000ul, legacy.Translate(0x1000));
    }

    [Fact]
    public void A_page_request_has_the_bytes_of_the_specification()
    {
        Assert.True(bench.Unit.RequestPage(new(VtdBench.Device, new(0xABCD_E123), true, true, true, 0x1AB, 0xFEDC, true, true, true)));
        Assert.Equal(0x0030_FEDC_0018_0101ul, bench.Peek(queue));
        Assert.Equal(0x0000_0000_ABCD_ED5Ful, bench.Peek(queue + 8));
        Assert.Equal(32ul, bench.Read64(0xC8));
        Assert.Equal(1u, bench.Read32(0xDC));
        Assert.Equal(new(0xFEE0_3000, 0x4051), Assert.Single(bench.Sink.Messages));
        Assert.True(bench.Unit.RequestPage(new(VtdBench.Device, new(0x1000), true, false, false, 1)));
        Assert.Equal(0x0018_0001ul, bench.Peek(queue + 32));
        Assert.Single(bench.Sink.Messages);
        bench.Write32(0xDC, 1);
        bench.Unit.RequestPage(new(VtdBench.Device, new(0x1000), true, false, false, 1));
        Assert.Equal(2, bench.Sink.Messages.Count);
        Assert.Empty(answers.Responses);
    }

    [Fact]
    public void A_full_queue_overflows_and_the_device_is_told_to_try_again()
    {
        for (var i = 0; i < 127; i++)
        {
            Assert.True(bench.Unit.RequestPage(new(VtdBench.Device, new(0x1000), true, false, true, 1)));
        }

        Assert.Equal(1u, bench.Read32(0xDC));
        Assert.True(bench.Unit.RequestPage(new(VtdBench.Device, new(0x1000), true, false, true, 9)));
        Assert.Equal(3u, bench.Read32(0xDC));
        Assert.Equal(new(9, 0, 0, false), Assert.Single(answers.Responses));
        bench.Write64(0xC0, bench.Read64(0xC8));
        bench.Unit.RequestPage(new(VtdBench.Device, new(0x1000), true, false, true, 10));
        Assert.Equal(2, answers.Responses.Count);
        bench.Write32(0xDC, 3);
        bench.Unit.RequestPage(new(VtdBench.Device, new(0x1000), true, false, true, 11));
        Assert.Equal(2, answers.Responses.Count);
        Assert.Equal(0ul, bench.Read64(0xC8));
    }

    [Fact]
    public void A_queue_outside_memory_overflows()
    {
        bench.Write64(0xD0, 0x8000_0000);
        bench.Unit.RequestPage(new(VtdBench.Device, new(0x1000), true, false, true, 9));
        Assert.Equal(2u, bench.Read32(0xDC));
        Assert.Single(answers.Responses);
    }

    [Fact]
    public void A_refused_page_request_is_answered_with_failure()
    {
        var other = new Bdf(7, 0, 0);
        bench.Unit.AttachDeviceTlb(other, answers);
        Assert.False(bench.Unit.RequestPage(new(other, new(0x1000), true, false, true, 4)));
        Assert.Equal(new(4, 15, 0, false), Assert.Single(answers.Responses));
        var record = bench.TakeFault();
        Assert.Equal((FaultReason.SmRootNotPresent, FaultedRequest.Page), (record.FR, record.Type));
    }

    [Fact]
    public void Without_page_requests_their_registers_are_empty()
    {
        using var plain = new VtdBench(new() { Profile = VtdProfile.Scalable, DeviceTlb = false });
        plain.Write64(0xD0, ulong.MaxValue);
        plain.Write64(0xC0, ulong.MaxValue);
        Assert.Equal(0ul, plain.Read64(0xD0) | plain.Read64(0xC0) | plain.Read32(0xE0));
    }
}
