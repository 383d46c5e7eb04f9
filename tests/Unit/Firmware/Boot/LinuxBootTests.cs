using Vmm.Firmware;
using Vmm.Firmware.Boot;
using Vmm.Platform.Memory;
using Xunit;

namespace Vmm.Unit.Firmware.Boot;

public sealed class LinuxBootTests
{
    [Fact]
    public void A_packed_kernel_is_unpacked_and_entered_at_startup_64()
    {
        using var guest = new GuestView(TestImages.Request(TestImages.PackedVmlinux()));
        Assert.Equal(BootProtocol.LinuxUnpacked, guest.Plan.Protocol);
        Assert.Equal(CpuMode.Long64, guest.Entry.Mode);
        Assert.Equal(0x1000010UL, guest.Entry.Rip);
        Assert.Equal(99, guest.U8(0x1000000 + 99));
        Assert.Equal(0, guest.U8(0x1000000 + 100));
        Assert.Equal([1, 2, 3, 0], guest.Bytes(0x1200000, 4));
        Assert.Equal(0x20F, guest.U16(guest.Entry.Rsi + 0x206));
        Assert.Equal(0xFF, guest.U8(guest.Entry.Rsi + 0x210));
        Assert.Equal(0UL, guest.U64(guest.Entry.Rsi + 0x250));
    }

    [Fact]
    public void A_vmlinux_gets_a_header_made_up_for_it()
    {
        using var guest = new GuestView(TestImages.Request(TestImages.Vmlinux()));
        Assert.Equal(BootProtocol.LinuxUnpacked, guest.Plan.Protocol);
        Assert.Equal(0x1000010UL, guest.Entry.Rip);
        Assert.Equal(0xAA55, guest.U16(guest.Entry.Rsi + 0x1FE));
        Assert.Equal(0x53726448u, guest.U32(guest.Entry.Rsi + 0x202));
    }

    [Fact]
    public void The_64_bit_entry_is_0x200_bytes_into_the_code_at_its_preferred_address()
    {
        using var guest = new GuestView(TestImages.Request(TestImages.PackedVmlinux(), BootProtocol.Linux64));
        Assert.Equal(0x1000200UL, guest.Entry.Rip);
        Assert.Equal(0xFA, guest.U8(0x1000000));
        Assert.Equal(0xFC, guest.U8(0x1000200));
        Assert.Equal(0x1000000u, guest.U32(guest.Entry.Rsi + 0x214));
    }

    [Fact]
    public void The_64_bit_entry_state_is_flat_identity_mapped_and_has_interrupts_off()
    {
        using var guest = new GuestView(TestImages.Request(TestImages.PackedVmlinux(), BootProtocol.Linux64));
        var entry = guest.Entry;
        Assert.Equal(0x80000011UL, entry.Cr0);
        Assert.Equal(0x20UL, entry.Cr4);
        Assert.Equal(0x500UL, entry.Efer);
        Assert.Equal(2UL, entry.Rflags);
        Assert.Equal(0x10, entry.Cs.Selector);
        Assert.Equal(0x18, entry.Ds.Selector);
        Assert.Equal(0x00AF9B000000FFFFUL, guest.U64(entry.Gdt.Base + 0x10));
        Assert.Equal(0x00CF93000000FFFFUL, guest.U64(entry.Gdt.Base + 0x18));
        Assert.Equal(0x0000890000000067UL, guest.U64(entry.Gdt.Base + 0x20));

        foreach (var address in new ulong[] { 0, 0x1000200, 0x3FFFFFFF, 0x40000000, 0xFEC00000, 0xFFFFFFFF })
        {
            var pml4 = guest.U64(entry.Cr3);
            var pdpt = guest.U64((pml4 & ~0xFFFUL) + (address >> 30 << 3));
            var page = guest.U64((pdpt & ~0xFFFUL) + ((address >> 21 & 511) << 3));
            Assert.Equal(3UL, pml4 & 0xFFF);
            Assert.Equal(3UL, pdpt & 0xFFF);
            Assert.Equal((address & ~0x1FFFFFUL) | 0x83, page);
        }
    }

    [Fact]
    public void The_32_bit_entry_is_the_first_byte_of_the_code()
    {
        using var guest = new GuestView(TestImages.Request(TestImages.BzImage([], xloadflags: 0)));
        Assert.Equal(BootProtocol.Linux32, guest.Plan.Protocol);
        Assert.Equal(CpuMode.Protected32, guest.Entry.Mode);
        Assert.Equal(0x11UL, guest.Entry.Cr0);
        Assert.Equal(0x1000000UL, guest.Entry.Rip);
        Assert.Equal(0UL, guest.Entry.Rbx);
        Assert.Equal(0x10, guest.Entry.Cs.Selector);
        Assert.Equal(0x18, guest.Entry.Ss.Selector);
        Assert.Equal(0x00CF9B000000FFFFUL, guest.U64(guest.Entry.Gdt.Base + 0x10));
    }

    [Fact]
    public void A_kernel_without_payload_is_started_by_its_64_bit_entry() =>
        Assert.Equal(BootProtocol.Linux64, BootLoader.Detect(TestImages.BzImage([])));

    [Fact]
    public void A_relocatable_kernel_moves_when_its_place_is_not_ram()
    {
        var request = TestImages.Request(TestImages.BzImage(new byte[100]), BootProtocol.Linux64) with { RamBytes = 12 << 20 };
        using var guest = new GuestView(request);
        Assert.Equal(0x200200UL, guest.Entry.Rip);
        Assert.Equal(0x200000u, guest.U32(guest.Entry.Rsi + 0x214));

        var image = TestImages.BzImage(new byte[100]);
        image[0x234] = 0;
        var error = Assert.Throws<ImageException>(() => BootLoader.Plan(request with { Image = image }));
        Assert.Contains("init_size", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Command_line_and_tables_are_found_through_boot_params()
    {
        using var guest = new GuestView(TestImages.Request(TestImages.PackedVmlinux()) with { CommandLine = "console=ttyS0 quiet" });
        Assert.Equal("console=ttyS0 quiet", guest.Text(guest.U32(guest.Entry.Rsi + 0x228)));
        Assert.Equal(0UL, guest.U64(guest.Entry.Rsi + 0x70));
    }

    [Fact]
    public void A_command_line_may_have_cmdline_size_bytes_and_no_more()
    {
        var request = TestImages.Request(TestImages.PackedVmlinux());
        BootLoader.Plan(request with { CommandLine = new('x', 2047) });
        Assert.Contains("2048", Assert.Throws<ImageException>(() => BootLoader.Plan(request with { CommandLine = new('x', 2048) })).Message, StringComparison.Ordinal);
        Assert.Throws<ImageException>(() => BootLoader.Plan(request with { CommandLine = "a\0b" }));
    }

    [Fact]
    public void The_initrd_is_page_aligned_below_the_top_and_modules_are_joined()
    {
        var request = TestImages.Request(TestImages.PackedVmlinux()) with
        {
            Modules = [new("", new byte[] { 1, 2, 3, 4, 5 }), new("", new byte[] { 6, 7 })],
        };
        using var guest = new GuestView(request);
        var start = guest.U32(guest.Entry.Rsi + 0x218);
        Assert.Equal(10u, guest.U32(guest.Entry.Rsi + 0x21C));
        Assert.Equal(TestImages.Ram - 0x1000, start);
        Assert.Equal([1, 2, 3, 4, 5, 0, 0, 0, 6, 7], guest.Bytes(start, 10));
    }

    [Fact]
    public void The_initrd_respects_initrd_addr_max_and_the_kernel()
    {
        var image = TestImages.PackedVmlinux();
        TestImages.Put32(image, 0x22C, 0x1FFFFFF);
        using var guest = new GuestView(TestImages.Request(image) with { Modules = [new("", new byte[0x1000])] });
        Assert.Equal(0x1FFF000u, guest.U32(guest.Entry.Rsi + 0x218));

        TestImages.Put32(image, 0x22C, 0x12FFFFF);
        using var below = new GuestView(TestImages.Request(image) with { Modules = [new("", new byte[0x1000])] });
        Assert.InRange(below.U32(below.Entry.Rsi + 0x218), 0x1003000u, 0x11FF000u);

        var error = Assert.Throws<ImageException>(() => BootLoader.Plan(TestImages.Request(image) with { Modules = [new("", new byte[TestImages.Ram])] }));
        Assert.Equal("initrd", error.Field);
    }

    [Fact]
    public void An_initrd_of_no_bytes_is_none()
    {
        using var guest = new GuestView(TestImages.Request(TestImages.PackedVmlinux()) with { Modules = [new("", default)] });
        Assert.Equal(0UL, guest.U64(guest.Entry.Rsi + 0x218));
    }

    [Fact]
    public void The_e820_table_lists_memory_and_what_is_reserved()
    {
        using var guest = new GuestView(TestImages.Request(TestImages.PackedVmlinux()) with
        {
            Reserved = [new(new(0xE0000000), 0x100000, MemoryKind.Reserved), new(new(TestImages.Ram - 0x20000), 0x10000, MemoryKind.AcpiReclaim)],
        });
        var table = Enumerable.Range(0, guest.U8(guest.Entry.Rsi + 0x1E8))
            .Select(i => guest.Entry.Rsi + 0x2D0 + (ulong)i * 20)
            .Select(at => (guest.U64(at), guest.U64(at + 8), guest.U32(at + 16)));
        Assert.Equal(
            [
                (0UL, 0x9FC00UL, 1u), (0x9FC00, 0x400, 2), (0xE0000, 0x20000, 2), (0x100000, TestImages.Ram - 0x120000, 1),
                (TestImages.Ram - 0x20000, 0x10000, 3), (TestImages.Ram - 0x10000, 0x10000, 1), (0xE0000000, 0x100000, 2),
            ],
            table);
    }

    [Fact]
    public void Nothing_that_a_plan_writes_overlaps()
    {
        foreach (var protocol in new[] { BootProtocol.LinuxUnpacked, BootProtocol.Linux64, BootProtocol.Linux32 })
        {
            var plan = BootLoader.Plan(TestImages.Request(TestImages.PackedVmlinux(), protocol) with
            {
                CommandLine = "x",
                Modules = [new("", new byte[5000])],
            });
            var writes = plan.Writes.OrderBy(write => write.Address.Value).ToList();
            for (var i = 1; i < writes.Count; i++)
            {
                var end = writes[i - 1].Address.Value + (ulong)writes[i - 1].Bytes.Length + writes[i - 1].Zeros;
                Assert.True(end <= writes[i].Address.Value, $"{writes[i - 1].Name} and {writes[i].Name} overlap");
            }
        }
    }

    [Fact]
    public void A_plan_fits_only_the_memory_it_was_made_for()
    {
        var plan = BootLoader.Plan(TestImages.Request(TestImages.Vmlinux()));
        using var memory = new GuestMemory(TestImages.Ram * 2);
        Assert.Throws<ArgumentException>(() => plan.WriteTo(memory));
    }

    [Fact]
    public void Carrying_a_plan_out_clears_what_was_there_before()
    {
        var plan = BootLoader.Plan(TestImages.Request(TestImages.Vmlinux()));
        using var memory = new GuestMemory(TestImages.Ram);
        memory.TryWrite(new Gpa(0x1200003), 0xDEADBEEFCAFEUL);
        memory.TryWrite(new Gpa(0x1002FF8), ulong.MaxValue);
        plan.WriteTo(memory);
        memory.TryRead(new Gpa(0x1200003), out ulong bss);
        memory.TryRead(new Gpa(0x1002FF8), out ulong tail);
        Assert.Equal((0UL, 0UL), (bss, tail));
    }
}
