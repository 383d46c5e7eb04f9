using Vmm.Firmware;
using Vmm.Firmware.Boot;
using Xunit;
using static Vmm.Unit.Firmware.Boot.TestImages;

namespace Vmm.Unit.Firmware.Boot;

public sealed class MultibootTests
{
    static byte[] Kernel(uint flags = 0, params uint[] addresses) => [.. MultibootHeader(flags, addresses), .. new byte[100]];

    [Fact]
    public void An_elf32_image_is_entered_in_protected_mode_with_the_magic()
    {
        using var guest = new GuestView(Request(Elf32(0x100010, 0x100000, Kernel(), 0x2000)));
        Assert.Equal(BootProtocol.Multiboot, guest.Plan.Protocol);
        Assert.Equal(CpuMode.Protected32, guest.Entry.Mode);
        Assert.Equal(0x2BADB002UL, guest.Entry.Rax);
        Assert.Equal((0UL, 0x3FF), (guest.Entry.Idt.Base, guest.Entry.Idt.Limit));
        Assert.Equal(0x100010UL, guest.Entry.Rip);
        Assert.Equal(0x1BADB002u, guest.U32(0x100000));
    }

    [Fact]
    public void A_packed_file_gives_the_image_in_it()
    {
        var image = Elf32(0x100010, 0x100000, Kernel(), 0x2000);
        using var packed = new MemoryStream();
        using (var gzip = new System.IO.Compression.GZipStream(packed, System.IO.Compression.CompressionMode.Compress, leaveOpen: true))
        {
            gzip.Write(image);
        }

        Assert.Equal(image, BootLoader.Unpack(packed.ToArray()).ToArray());
        Assert.Equal(image, BootLoader.Unpack(image).ToArray());
        Assert.Throws<ImageException>(() => BootLoader.Unpack(packed.ToArray().AsMemory(0, (int)packed.Length - 6)));
    }

    [Fact]
    public void An_elf64_image_is_loaded_by_physical_address_and_its_virtual_entry_translated()
    {
        var image = Elf64(0xFFFFFFFF80100020, [], new Segment(0x100000, Kernel(), 0x2000, 0xFFFFFFFF80100000));
        using var guest = new GuestView(Request(image));
        Assert.Equal(BootProtocol.Multiboot, guest.Plan.Protocol);
        Assert.Equal(0x100020UL, guest.Entry.Rip);
    }

    [Fact]
    public void An_elf32_virtual_entry_is_translated()
    {
        using var guest = new GuestView(Request(Elf32(0xC0100010, 0x100000, Kernel(), 0x2000, 0xC0100000)));
        Assert.Equal(0x100010UL, guest.Entry.Rip);
    }

    [Fact]
    public void The_address_fields_replace_the_executable_header()
    {
        // 16 bytes of something else, then the header, which is to be at 0x200010; 0x40 bytes are loaded, bss to 0x200100.
        byte[] image = [.. Enumerable.Repeat((byte)0xCC, 16), .. MultibootHeader(0x10000, 0x200010, 0x200000, 0x200040, 0x200100, 0x200030), .. new byte[100]];
        using var guest = new GuestView(Request(image));
        Assert.Equal(0x200030UL, guest.Entry.Rip);
        Assert.Equal(0xCC, guest.U8(0x200000));
        Assert.Equal(0x1BADB002u, guest.U32(0x200010));
        Assert.Equal([0x40, 0xC0], guest.Plan.Writes.Where(write => write.Name == "multiboot image").SelectMany(write => new[] { write.Bytes.Length, (int)write.Zeros }));
    }

    [Fact]
    public void Without_load_end_all_of_the_file_is_loaded()
    {
        byte[] image = [.. MultibootHeader(0x10000, 0x200000, 0x200000, 0, 0, 0x200020), 9, 8, 7];
        using var guest = new GuestView(Request(image));
        Assert.Equal([9, 8, 7], guest.Bytes(0x200000 + 32, 3));
    }

    [Theory]
    [InlineData(0, 0x1FFFF0u, "load_addr")] // header_addr below load_addr
    [InlineData(0, 0x300000u, "load_addr")] // the image would start before the file
    [InlineData(2, 0x1FFFFFu, "load_end_addr")]
    [InlineData(2, 0x300000u, "load_end_addr")]
    [InlineData(3, 0x200001u, "bss_end_addr")]
    [InlineData(4, 0x1FFFFFu, "entry_addr")]
    [InlineData(4, 0x200100u, "entry_addr")]
    public void Bad_address_fields_are_named(int index, uint value, string field)
    {
        uint[] addresses = [0x200000, 0x200000, 0x200040, 0x200100, 0x200030];
        addresses[index] = value;
        var error = Assert.Throws<ImageException>(() => BootLoader.Plan(Request(Kernel(0x10000, addresses))));
        Assert.Equal($"multiboot {field}", error.Field);
    }

    [Fact]
    public void The_information_holds_memory_map_command_line_modules_and_loader()
    {
        var request = Request(Elf32(0x100010, 0x100000, Kernel(3), 0x2345)) with
        {
            ImageName = "test.flat",
            CommandLine = "a b",
            Modules = [new("env file", new byte[] { 1, 2, 3 }), new("second", new byte[] { 4 })],
        };
        using var guest = new GuestView(request);
        var info = guest.Entry.Rbx;
        Assert.Equal(0x24Du, guest.U32(info));
        Assert.Equal(639u, guest.U32(info + 4));
        Assert.Equal((uint)(Ram - 0x100000) >> 10, guest.U32(info + 8));
        Assert.Equal("test.flat a b", guest.Text(guest.U32(info + 16)));
        Assert.NotEqual("", guest.Text(guest.U32(info + 64)));

        Assert.Equal(2u, guest.U32(info + 20));
        var modules = guest.U32(info + 24);
        var first = guest.U32(modules);
        Assert.Equal(0x103000u, first);
        Assert.Equal(first + 3, guest.U32(modules + 4));
        Assert.Equal("env file", guest.Text(guest.U32(modules + 8)));
        Assert.Equal([1, 2, 3], guest.Bytes(first, 3));
        Assert.Equal(0x104000u, guest.U32(modules + 16));

        var map = guest.U32(info + 48);
        Assert.Equal((uint)guest.Plan.MemoryMap.Count * 24, guest.U32(info + 44));
        Assert.Equal((20u, 0UL, 0x9FC00UL, 1u), (guest.U32(map), guest.U64(map + 4), guest.U64(map + 12), guest.U32(map + 20)));
    }

    [Fact]
    public void Unknown_mandatory_flags_and_a_wrong_checksum_are_refused()
    {
        Assert.Equal("multiboot flags", Assert.Throws<ImageException>(() => BootLoader.Plan(Request(Elf32(0x100010, 0x100000, Kernel(8), 0x2000)))).Field);
        Assert.Equal("multiboot flags", Assert.Throws<ImageException>(() => BootLoader.Plan(Request(Kernel()))).Field);
        var image = Elf32(0x100010, 0x100000, Kernel(), 0x2000);
        image[0x108] ^= 1;
        Assert.Equal("multiboot header", Assert.Throws<ImageException>(() => BootLoader.Plan(Request(image, BootProtocol.Multiboot))).Field);
    }

    [Fact]
    public void The_header_counts_only_in_the_first_8192_bytes_and_4_byte_aligned()
    {
        var far = Elf32(0x100010, 0x100000, [.. new byte[8192 - 0x100 - 8], .. Kernel()], 0x4000);
        Assert.Throws<ImageException>(() => BootLoader.Plan(Request(far)));
        var near = Elf32(0x100010, 0x100000, [.. new byte[8192 - 0x100 - 12], .. Kernel()], 0x4000);
        Assert.Equal(BootProtocol.Multiboot, BootLoader.Detect(near));
        Assert.Throws<ImageException>(() => BootLoader.Detect(Elf32(0x100010, 0x100000, [0, 0, .. Kernel()], 0x4000)));
    }
}
