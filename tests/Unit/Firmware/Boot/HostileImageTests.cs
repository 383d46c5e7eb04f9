using Vmm.Firmware;
using Vmm.Firmware.Boot;
using Vmm.Platform.Memory;
using Xunit;
using static Vmm.Unit.Firmware.Boot.TestImages;

namespace Vmm.Unit.Firmware.Boot;

public sealed class HostileImageTests
{
    static ImageException Refusal(byte[] image, BootProtocol protocol = BootProtocol.Auto)
    {
        var error = Assert.Throws<ImageException>(() => BootLoader.Plan(Request(image, protocol)));
        Assert.DoesNotContain('\n', error.Message);
        return error;
    }

    static byte[] Edited(byte[] image, int at, params byte[] bytes)
    {
        bytes.CopyTo(image, at);
        return image;
    }

    // Program header 1 of the test kernel, the first PT_LOAD, starts at 64 + 56.
    const int FirstLoad = 64 + 56, SecondLoad = FirstLoad + 56;

    [Theory]
    [InlineData(4, new byte[] { 3 }, "ELF class")]
    [InlineData(5, new byte[] { 2 }, "ELF data encoding")]
    [InlineData(16, new byte[] { 1 }, "ELF e_type")]
    [InlineData(18, new byte[] { 3 }, "ELF e_machine")]
    [InlineData(18, new byte[] { 0xB7 }, "ELF e_machine")]
    [InlineData(39, new byte[] { 0x80 }, "ELF e_phoff")]
    [InlineData(34, new byte[] { 0xFF }, "ELF e_phoff")]
    [InlineData(54, new byte[] { 55 }, "ELF e_phentsize")]
    [InlineData(56, new byte[] { 0xFF, 0xFF }, "ELF e_phnum")]
    [InlineData(56, new byte[] { 200, 0 }, "ELF e_phoff")]
    [InlineData(56, new byte[] { 1, 0 }, "ELF e_phnum")]
    [InlineData(24, new byte[] { 0, 0, 0, 0x70 }, "ELF entry")]
    [InlineData(FirstLoad + 8 + 7, new byte[] { 0x80 }, "ELF p_filesz")]
    [InlineData(FirstLoad + 32 + 7, new byte[] { 0x80 }, "ELF p_filesz")]
    [InlineData(FirstLoad + 40, new byte[] { 99, 0 }, "ELF p_filesz")]
    [InlineData(FirstLoad + 40 + 7, new byte[] { 0xFF }, "ELF segment")]
    [InlineData(FirstLoad + 24 + 7, new byte[] { 0x80 }, "ELF segment")]
    [InlineData(FirstLoad + 24 + 3, new byte[] { 0x40 }, "ELF segment")]
    [InlineData(FirstLoad + 24, new byte[] { 0, 0, 0x0A, 0 }, "ELF segment")]
    [InlineData(SecondLoad + 24, new byte[] { 0xFF, 0x2F, 0x00, 0x01 }, "ELF segment")]
    [InlineData(0x400, new byte[] { 0xFF, 0xFF, 0xFF, 0xFF }, "ELF note")]
    [InlineData(0x404, new byte[] { 0xFF, 0xFF, 0xFF, 0xFF }, "ELF note")]
    public void Bad_elf_fields_are_named(int at, byte[] bytes, string field) => Assert.Equal(field, Refusal(Edited(Vmlinux(), at, bytes)).Field);

    [Fact]
    public void A_segment_that_wraps_around_is_refused()
    {
        var image = Vmlinux();
        Put64(image, FirstLoad + 24, ulong.MaxValue - 0x1000);
        Assert.Equal("ELF p_memsz", Refusal(image).Field);
    }

    [Fact]
    public void Segments_over_mmio_reserved_ranges_or_tables_are_refused()
    {
        foreach (var address in new ulong[] { 0xFEC00000, 0xE0000, 0x9FC00, 0xA0000, Ram - 0x1000, Ram, 1UL << 32, 1UL << 62 })
        {
            var image = Vmlinux();
            Put64(image, FirstLoad + 24, address);
            Assert.Contains($"0x{address:x}", Refusal(image).Message, StringComparison.Ordinal);
        }

        var reserved = Request(Vmlinux()) with { Reserved = [new(new Gpa(0x1201000), 0x1000, MemoryKind.AcpiReclaim)] };
        Assert.Equal("ELF segment", Assert.Throws<ImageException>(() => BootLoader.Plan(reserved)).Field);
    }

    [Fact]
    public void An_image_cut_off_anywhere_is_refused()
    {
        foreach (var image in new[] { Vmlinux(), PackedVmlinux(), Elf32(0x100010, 0x100000, [.. MultibootHeader(0), .. new byte[50]], 0x2000) })
        {
            for (var length = 0; length < image.Length; length++)
            {
                // The first sector of a bzImage is a boot sector in its own right.
                if (image[0] == 0x7F || length is < 512 or > 0x205)
                {
                    Refusal(image[..length]);
                }
            }
        }
    }

    [Theory]
    [InlineData(0x1FE, new byte[] { 0 }, BootProtocol.Linux64, "bzImage header")]
    [InlineData(0x202, new byte[] { 0 }, BootProtocol.Linux64, "bzImage header")]
    [InlineData(0x206, new byte[] { 0, 1 }, BootProtocol.Auto, "bzImage loadflags")]
    [InlineData(0x211, new byte[] { 0 }, BootProtocol.Auto, "bzImage loadflags")]
    [InlineData(0x1F1, new byte[] { 0xFF }, BootProtocol.Auto, "bzImage setup_sects")]
    [InlineData(0x201, new byte[] { 0xFF }, BootProtocol.Auto, "bzImage header length")]
    [InlineData(0x201, new byte[] { 0x10 }, BootProtocol.Auto, "bzImage relocatable_kernel")]
    [InlineData(0x201, new byte[] { 0x01 }, BootProtocol.Auto, "bzImage version")]
    [InlineData(0x230, new byte[] { 0, 0, 0, 0 }, BootProtocol.Auto, "bzImage kernel_alignment")]
    [InlineData(0x230, new byte[] { 3 }, BootProtocol.Auto, "bzImage kernel_alignment")]
    [InlineData(0x236, new byte[] { 0 }, BootProtocol.Linux64, "bzImage xloadflags")]
    [InlineData(0x24B, new byte[] { 0xFF }, BootProtocol.LinuxUnpacked, "bzImage payload_offset")]
    [InlineData(0x24F, new byte[] { 0xFF }, BootProtocol.LinuxUnpacked, "bzImage payload_offset")]
    [InlineData(0x248, new byte[] { 0, 0 }, BootProtocol.LinuxUnpacked, "bzImage payload: compressed data")]
    [InlineData(0x263, new byte[] { 0xFF }, BootProtocol.Linux64, "bzImage init_size")]
    public void Bad_bzimage_fields_are_named(int at, byte[] bytes, BootProtocol protocol, string field) =>
        Assert.Equal(field, Refusal(Edited(PackedVmlinux(), at, bytes), protocol).Field);

    [Fact]
    public void A_setup_sects_of_zero_means_four()
    {
        var image = BzImage(new byte[0x1000]);
        image[0x1F1] = 0;
        image[5 * 512] = 0x90;
        using var guest = new GuestView(Request(image, BootProtocol.Linux64));
        Assert.Equal(0x90, guest.U8(0x1000000));
    }

    [Fact]
    public void A_damaged_payload_is_named_with_its_place_in_the_file()
    {
        var image = PackedVmlinux();
        image[0x700 + 4] ^= 0x40;
        var error = Refusal(image);
        Assert.StartsWith("bzImage payload: lz4", error.Field, StringComparison.Ordinal);
        Assert.InRange(error.Offset, 0x700, image.Length);
    }

    [Fact]
    public void Every_mutation_of_every_kind_of_image_gives_a_plan_or_one_typed_error()
    {
        byte[][] images =
        [
            Vmlinux(),
            PackedVmlinux(),
            Elf32(0x100010, 0x100000, [.. MultibootHeader(3), .. new byte[50]], 0x2000),
            [.. new byte[16], .. MultibootHeader(0x10000, 0x200010, 0x200000, 0x200040, 0x200100, 0x200030), .. new byte[100]],
            Elf64(0x100000, Note("Xen", 18, BitConverter.GetBytes(0x100008)), new Segment(0x100000, new byte[64], 0x1000)),
        ];
        var random = new Random(991);
        var (planned, refused) = (0, 0);
        foreach (var image in images)
        {
            foreach (var protocol in Enum.GetValues<BootProtocol>())
            {
                for (var round = 0; round < 300; round++)
                {
                    try
                    {
                        Check(BootLoader.Plan(Request(Mutation.Of(image, random, 0x300), protocol) with { Modules = [new("", new byte[10])] }));
                        planned++;
                    }
                    catch (ImageException)
                    {
                        refused++;
                    }
                }
            }
        }

        Assert.InRange(planned, 500, 5 * 7 * 300);
        Assert.InRange(refused, 2000, 5 * 7 * 300);
    }

    static void Check(BootPlan plan)
    {
        foreach (var write in plan.Writes)
        {
            Assert.True(write.Address.Value + (ulong)write.Bytes.Length + write.Zeros <= Ram);
        }
    }
}
