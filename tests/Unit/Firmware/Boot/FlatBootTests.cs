using Vmm.Firmware;
using Vmm.Firmware.Boot;
using Vmm.Platform.Memory;
using Xunit;
using static Vmm.Unit.Firmware.Boot.TestImages;

namespace Vmm.Unit.Firmware.Boot;

public sealed class FlatBootTests
{
    static readonly byte[] Code = [0xF4, 0xEB, 0xFD];

    static BootRequest At(ulong address, CpuMode mode, ulong offset = 0) => Request(Code) with { Flat = new(new Gpa(address), mode, offset) };

    [Fact]
    public void A_boot_sector_starts_at_7C00_in_real_mode_with_the_drive_in_DL()
    {
        var sector = new byte[512];
        Code.CopyTo(sector, 0);
        sector[510] = 0x55;
        sector[511] = 0xAA;
        using var guest = new GuestView(Request(sector));
        Assert.Equal(BootProtocol.Flat, guest.Plan.Protocol);
        Assert.Equal(CpuMode.Real16, guest.Entry.Mode);
        Assert.Equal((0x7C00UL, 0UL, 0UL), (guest.Entry.Rip, guest.Entry.Cs.Base, (ulong)guest.Entry.Cs.Selector));
        Assert.Equal(0x80UL, guest.Entry.Rdx);
        Assert.Equal(0x3FF, guest.Entry.Idt.Limit);
        Assert.Equal(0UL, guest.Entry.Cr0 & 1);
        Assert.Equal(0xF4, guest.U8(0x7C00));
    }

    [Fact]
    public void Above_64_KiB_real_mode_code_gets_a_segment_of_its_own()
    {
        using var guest = new GuestView(At(0x20004, CpuMode.Real16));
        Assert.Equal((0x2000, 0x20000UL, 4UL), (guest.Entry.Cs.Selector, guest.Entry.Cs.Base, guest.Entry.Rip));
    }

    [Theory]
    [InlineData(CpuMode.Protected32)]
    [InlineData(CpuMode.Long64)]
    public void Flat_32_and_64_bit_code_starts_where_it_was_asked_for(CpuMode mode)
    {
        using var guest = new GuestView(At(0x200000, mode, 1));
        Assert.Equal(mode, guest.Entry.Mode);
        Assert.Equal(0x200001UL, guest.Entry.Rip);
        Assert.Equal(Code, guest.Bytes(0x200000, 3));
        Assert.True(guest.Entry.Rsp >= 0x2000);
    }

    [Fact]
    public void An_image_that_does_not_fit_is_refused()
    {
        Assert.Throws<ImageException>(() => BootLoader.Plan(At(Ram - 2, CpuMode.Long64)));
        Assert.Throws<ImageException>(() => BootLoader.Plan(At(0x9FBFE, CpuMode.Real16)));
        Assert.Throws<ImageException>(() => BootLoader.Plan(At(0x200000, CpuMode.Real16)));
        Assert.Throws<ImageException>(() => BootLoader.Plan(At(ulong.MaxValue, CpuMode.Long64)));
        Assert.Throws<ImageException>(() => BootLoader.Plan(At(0x200000, CpuMode.Long64, 3)));
        Assert.Throws<ImageException>(() => BootLoader.Plan(Request(Code)));
        Assert.Throws<ImageException>(() => BootLoader.Plan(Request([])));
        Assert.Throws<ImageException>(() => BootLoader.Plan(Request([]) with { Flat = FlatStart.BootSector }));
    }
}
