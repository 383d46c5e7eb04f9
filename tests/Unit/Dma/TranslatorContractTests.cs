using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Xunit;

namespace Vmm.Unit.Dma;

/// <summary>An IOMMU, with what a driver does to it for one device.</summary>
interface ITranslatorBed : IDisposable
{
    /// <summary>The IOMMU.</summary>
    IDmaTranslator Translator { get; }

    /// <summary>RAM.</summary>
    GuestMemory Memory { get; }

    /// <summary>The device whose pages are mapped.</summary>
    Bdf Device { get; }

    /// <summary>A device with an address space of its own, which is empty.</summary>
    Bdf Neighbour { get; }

    /// <summary>Faults of <see cref="Device"/> and <see cref="Neighbour"/> that were taken note of.</summary>
    ulong Faults { get; }

    /// <summary>Maps one page.</summary>
    void Map(ulong iova, ulong target, bool readable, bool writable);

    /// <summary>Takes a page away, with every invalidation that this needs.</summary>
    void Unmap(ulong iova);

    /// <summary>Takes the device's address space away.</summary>
    void Detach();
}

/// <summary>What every <see cref="IDmaTranslator"/> promises to the ports in front of it.</summary>
public abstract class TranslatorContractTests : IDisposable
{
    const ulong Ram = 0x40_0000, Page = 0x1000;

    readonly ITranslatorBed bed;
    readonly DmaPort port;

    private protected TranslatorContractTests(ITranslatorBed bed)
    {
        this.bed = bed;
        port = new(new(bed.Memory, new SystemBus().Mmio, new RecordingSink()), bed.Device) { Translator = bed.Translator };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        bed.Dispose();
        GC.SuppressFinalize(this);
    }

    bool Try(ulong address, DmaAccess access, out DmaWindow window, Bdf? device = null) =>
        bed.Translator.TryTranslate(new(device ?? bed.Device, new(address), access), out window);

    [Fact]
    public void An_address_that_is_not_mapped_is_blocked_and_noted_each_time()
    {
        bed.Map(0x1000, Ram, true, true);
        Assert.False(Try(0x2000, DmaAccess.Read, out _));
        Assert.Equal(1ul, bed.Faults);
        Assert.False(Try(0x2000, DmaAccess.Write, out _));
        Assert.Equal(2ul, bed.Faults);
    }

    [Fact]
    public void A_window_leads_to_the_target_and_reaches_the_pages_end_but_no_other_mapping()
    {
        bed.Map(0x1000, Ram, true, false);
        bed.Map(0x2000, Ram + 8 * Page, true, true);
        Assert.True(Try(0x1234, DmaAccess.Read, out var window));
        Assert.Equal(Ram + 0x234, window.Address.Value);
        Assert.Equal(0x1000ul - 0x234, window.Length);
        Assert.Equal((true, false), (window.Readable, window.Writable));
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void Rights_hold_for_reads_writes_and_atomics(bool readable, bool writable)
    {
        bed.Map(0x1000, Ram, readable, writable);
        for (var round = 0; round < 2; round++)
        {
            Assert.Equal(readable, Try(0x1000, DmaAccess.Read, out _));
            Assert.Equal(writable, Try(0x1000, DmaAccess.Write, out _));
            Assert.Equal(readable && writable, Try(0x1000, DmaAccess.Atomic, out _));
        }

        Assert.Equal((readable ? 0ul : 2) + (writable ? 0ul : 2) + (readable && writable ? 0ul : 2), bed.Faults);
    }

    [Fact]
    public void A_page_that_is_gone_is_blocked_and_the_generation_says_so()
    {
        bed.Map(0x1000, Ram, true, true);
        Assert.True(Try(0x1000, DmaAccess.Read, out _));
        var generation = bed.Translator.Generation;
        bed.Unmap(0x1000);
        Assert.NotEqual(generation, bed.Translator.Generation);
        Assert.False(Try(0x1000, DmaAccess.Read, out _));
        bed.Map(0x1000, Ram + Page, true, true);
        Assert.True(Try(0x1000, DmaAccess.Read, out var window));
        Assert.Equal(Ram + Page, window.Address.Value);
    }

    [Fact]
    public void Translations_and_faults_leave_the_generation_alone()
    {
        bed.Map(0x1000, Ram, true, true);
        var generation = bed.Translator.Generation;
        Try(0x1000, DmaAccess.Read, out _);
        Try(0x9000, DmaAccess.Write, out _);
        bed.Translator.TryRemap(bed.Device, new(0xFEE0_0000, 0x31), out _);
        Assert.Equal(generation, bed.Translator.Generation);
    }

    [Fact]
    public void A_device_without_its_address_space_is_blocked()
    {
        bed.Map(0x1000, Ram, true, true);
        Assert.True(Try(0x1000, DmaAccess.Read, out _));
        var generation = bed.Translator.Generation;
        bed.Detach();
        Assert.NotEqual(generation, bed.Translator.Generation);
        Assert.False(Try(0x1000, DmaAccess.Read, out _));
    }

    [Fact]
    public void A_neighbour_does_not_see_the_mapping()
    {
        bed.Map(0x1000, Ram, true, true);
        Assert.False(Try(0x1000, DmaAccess.Read, out _, bed.Neighbour));
        Assert.True(Try(0x1000, DmaAccess.Read, out _));
        Assert.False(Try(0x1000, DmaAccess.Read, out _, bed.Neighbour));
    }

    [Fact]
    public void A_request_with_a_PASID_is_blocked_where_none_are_supported()
    {
        bed.Map(0x1000, Ram, true, true);
        Assert.False(bed.Translator.TryTranslate(new(bed.Device, new(0x1000), DmaAccess.Read, 3, true), out _));
        Assert.Equal(1ul, bed.Faults);
    }

    [Fact]
    public void Without_remapping_an_interrupt_message_passes_as_it_is()
    {
        Assert.True(bed.Translator.TryRemap(bed.Device, new(0xFEE0_1000, 0x4042), out var message));
        Assert.Equal(new MsiMessage(0xFEE0_1000, 0x4042), message);
    }

    [Fact]
    public void Addresses_at_the_edges_neither_throw_nor_pass()
    {
        foreach (var address in (ulong[])[0, 0xFFF, 0xFEE0_0000, 1ul << 48, 1ul << 63, ulong.MaxValue])
        {
            foreach (var access in (DmaAccess[])[DmaAccess.Read, DmaAccess.Write, DmaAccess.Atomic, DmaAccess.Read | DmaAccess.Translation])
            {
                Assert.False(Try(address, access, out _));
            }
        }
    }

    [Fact]
    public void Neither_hits_nor_walks_nor_faults_allocate()
    {
        for (ulong i = 1; i <= 64; i++)
        {
            bed.Map(i * 2 * Page, Ram + i * Page, true, true);
        }

        Run();
        var before = GC.GetAllocatedBytesForCurrentThread();
        Run();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Run()
        {
            for (ulong i = 1; i <= 130; i++)
            {
                Try(i * Page, DmaAccess.Read, out _);
                Try(i * Page, DmaAccess.Write, out _);
            }
        }
    }

    [Fact]
    public void A_transfer_stops_where_the_mappings_stop()
    {
        bed.Map(0x1000, Ram, true, true);
        bed.Map(0x2000, Ram + 4 * Page, true, true);
        bed.Memory.TryWrite(new Gpa(Ram + 5 * Page), 0x55ul);
        var bytes = Enumerable.Range(0, 3 * 4096).Select(i => (byte)(i % 251)).ToArray();
        Assert.False(port.TryWrite(new Iova(0x1000), bytes));
        var found = new byte[4096];
        bed.Memory.TryRead(new Gpa(Ram), found);
        Assert.Equal(bytes[..4096], found);
        bed.Memory.TryRead(new Gpa(Ram + 4 * Page), found);
        Assert.Equal(bytes[4096..8192], found);
        bed.Memory.TryRead(new Gpa(Ram + 5 * Page), out ulong after);
        Assert.Equal(0x55ul, after);
    }

    /// <summary>Random mappings and transfers through a port, which keeps translations, against a table of pages.</summary>
    [Fact]
    public void A_port_never_reaches_a_page_that_is_not_mapped_now()
    {
        var random = new Random(11);
        var pages = new Dictionary<ulong, (ulong Target, bool Readable, bool Writable)>();
        var cursor = default(DmaCursor);
        for (var i = 0; i < 20_000; i++)
        {
            var iova = (ulong)random.Next(1, 24) * Page;
            if (random.Next(8) == 0)
            {
                if (pages.Remove(iova))
                {
                    bed.Unmap(iova);
                }
                else
                {
                    var rights = random.Next(1, 4);
                    pages[iova] = (Ram + (ulong)random.Next(32) * Page, (rights & 1) != 0, (rights & 2) != 0);
                    bed.Map(iova, pages[iova].Target, pages[iova].Readable, pages[iova].Writable);
                }
            }

            var known = pages.TryGetValue(iova, out var page);
            var offset = (ulong)random.Next(4088);
            if (random.Next(2) == 0)
            {
                Assert.Equal(known && page.Writable, port.TryWrite(ref cursor, new Iova(iova + offset), (ulong)i));
                bed.Memory.TryRead(new Gpa(page.Target + offset), out ulong found);
                Assert.True(!known || !page.Writable || found == (ulong)i);
            }
            else
            {
                bed.Memory.TryWrite(new Gpa(page.Target + offset), (ulong)i << 8);
                Assert.Equal(known && page.Readable, port.TryRead(ref cursor, new Iova(iova + offset), out ulong found));
                Assert.True(!known || !page.Readable || found == (ulong)i << 8);
            }
        }
    }
}
