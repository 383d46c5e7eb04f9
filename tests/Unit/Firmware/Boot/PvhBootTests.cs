using Vmm.Firmware;
using Vmm.Firmware.Boot;
using Xunit;
using static Vmm.Unit.Firmware.Boot.TestImages;

namespace Vmm.Unit.Firmware.Boot;

public sealed class PvhBootTests
{
    static byte[] Image(byte[]? note = null) => Elf64(0x100000, note ?? Note("Xen", 18, BitConverter.GetBytes(0x100008)), new Segment(0x100000, new byte[64], 0x1000));

    [Fact]
    public void An_elf_file_with_the_note_is_entered_in_protected_mode()
    {
        using var guest = new GuestView(Request(Image()));
        Assert.Equal(BootProtocol.Pvh, guest.Plan.Protocol);
        Assert.Equal(0x100008UL, guest.Entry.Rip);
        Assert.Equal(CpuMode.Protected32, guest.Entry.Mode);
        Assert.Equal((0x11UL, 0UL, 0UL, 0UL), (guest.Entry.Cr0, guest.Entry.Cr4, guest.Entry.Efer, guest.Entry.Cr3));
        Assert.Equal(0x67u, guest.Entry.Tr.Limit);
        Assert.Equal(0x8Bu, guest.Entry.Tr.AccessRights);
        Assert.Equal(0xC09Bu, guest.Entry.Cs.AccessRights);
    }

    [Fact]
    public void The_start_info_leads_to_everything()
    {
        using var guest = new GuestView(Request(Image()) with { CommandLine = "hello", Modules = [new("first", new byte[] { 7, 8 }), new("", default)] });
        var info = guest.Entry.Rbx;
        Assert.Equal(0x336EC578u, guest.U32(info));
        Assert.Equal(1u, guest.U32(info + 4));
        Assert.Equal(2u, guest.U32(info + 12));
        Assert.Equal("hello", guest.Text(guest.U64(info + 24)));

        var modules = guest.U64(info + 16);
        Assert.Equal([7, 8], guest.Bytes(guest.U64(modules), 2));
        Assert.Equal(2UL, guest.U64(modules + 8));
        Assert.Equal("first", guest.Text(guest.U64(modules + 16)));
        Assert.Equal(0UL, guest.U64(modules + 32 + 8));

        var map = guest.U64(info + 40);
        Assert.Equal((uint)guest.Plan.MemoryMap.Count, guest.U32(info + 48));
        Assert.Equal((0UL, 0x9FC00UL, 1u), (guest.U64(map), guest.U64(map + 8), guest.U32(map + 16)));
    }

    [Fact]
    public void The_entry_may_be_stated_in_64_bits_but_not_in_3_bytes()
    {
        Assert.Equal(0x100010UL, BootLoader.Plan(Request(Image(Note("Xen", 18, BitConverter.GetBytes(0x100010UL))))).Entry.Rip);
        Assert.Throws<ImageException>(() => BootLoader.Plan(Request(Image(Note("Xen", 18, new byte[3])))));
    }

    [Fact]
    public void The_entry_must_lie_in_the_image()
    {
        var error = Assert.Throws<ImageException>(() => BootLoader.Plan(Request(Image(Note("Xen", 18, BitConverter.GetBytes(0x900000))))));
        Assert.Contains("0x900000", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Linux_itself_can_be_entered_this_way_too()
    {
        using var guest = new GuestView(Request(Vmlinux(), BootProtocol.Pvh));
        Assert.Equal(0x1000020UL, guest.Entry.Rip);
    }

    [Fact]
    public void Without_a_note_the_protocol_is_refused() =>
        Assert.Contains("note", Assert.Throws<ImageException>(() => BootLoader.Plan(Request(Image([]), BootProtocol.Pvh))).Message, StringComparison.Ordinal);
}
