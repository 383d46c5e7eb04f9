using Vmm.Machine.MachineChecks;
using Vmm.Specs.X86;
using Xunit;

namespace Vmm.Unit.Machine;

/// <summary>The text language of mce-inject, and lines as Linux prints them.</summary>
public sealed class MceInjectTextTests
{
    const ulong Ce = MciStatus.VAL | MciStatus.EN, Ucna = Ce | MciStatus.UC;

    static MachineCheckInjection One(string text) => Assert.Single(MceInjectText.Parse(text));

    [Theory]
    [InlineData("CPU 0 BANK 2\nSTATUS CORRECTED\n", 0, 2, Ce, 0ul)]
    [InlineData("cpu 3 4 status fatal", 3, 4, Ucna | MciStatus.PCC, 0ul)]
    [InlineData("CPU 1 # the second\nBANK 010\nSTATUS UNCORRECTED 0x17a\nADDR 0x1000", 1, 8, Ucna | MciStatus.ADDRV | 0x17A, 0x1000ul)]
    [InlineData("CPU 0 BANK 1 STATUS SRAR 0x134 ADDR 0x2000 MISC 0x8c", 0, 1, Ucna | MciStatus.S | MciStatus.AR | MciStatus.ADDRV | MciStatus.MISCV | 0x134, 0x2000ul)]
    [InlineData("CPU 0 BANK 9 STATUS SRAO 192", 0, 9, Ucna | MciStatus.S | 0xC0, 0ul)]
    [InlineData("CPU 0 BANK 0 STATUS VAL OVER UC EN PCC", 0, 0, Ucna | MciStatus.OVER | MciStatus.PCC, 0ul)]
    [InlineData("CPU 0 BANK 5 TSC 5 TIME 6 RIP 0x10:0x1234 PROCESSOR 0:0x806ec SOCKETID 0 IN_IRQ HOLD STATUS CORRECTED", 0, 5, 0ul, 0ul)]
    public void Terms_become_registers(string text, int cpu, int bank, ulong status, ulong addr)
    {
        var found = One(text);
        Assert.Equal((cpu, bank, status, addr), (found.Cpu, found.Bank!.Value, found.Status!.Value, found.Addr!.Value));
    }

    [Theory]
    [InlineData("CPU 0 STATUS FATAL MCGSTATUS RIPV MCIP", McgStatus.RIPV | McgStatus.MCIP)]
    [InlineData("CPU 0 STATUS FATAL MCGSTATUS 7", 7ul)]
    [InlineData("CPU 0 STATUS FATAL", null)]
    public void Mcgstatus_is_given_or_left_to_the_kind(string text, ulong? expected) => Assert.Equal(expected, One(text).McgStatus);

    [Theory]
    [InlineData("CPU 0 STATUS FATAL NOBROADCAST", MachineCheckSignal.Target)]
    [InlineData("CPU 0 STATUS CORRECTED NOBROADCAST", MachineCheckSignal.Auto)]
    [InlineData("CPU 0 STATUS FATAL", MachineCheckSignal.Auto)]
    public void Nobroadcast_keeps_an_exception_to_its_processor(string text, MachineCheckSignal expected) => Assert.Equal(expected, One(text).Signal);

    [Fact]
    public void Several_follow_each_other()
    {
        var found = MceInjectText.Parse("CPU 0 BANK 1\nSTATUS CORRECTED\nCPU 1 BANK 2\nSTATUS FATAL\nMCE\nSTATUS UCNA\n");
        Assert.Equal([(0, 1), (1, 2), (0, 0)], found.Select(f => (f.Cpu, f.Bank!.Value)));
    }

    [Fact]
    public void What_the_kernel_printed_can_be_injected_again()
    {
        var found = One("""
            [    0.310183] mce: [Hardware Error]: Machine check events logged
            mce: [Hardware Error]: CPU 0: Machine Check Exception: 7 Bank 1: bd80000000100134
            mce: [Hardware Error]: RIP 33:<0000000000401738> {some+0x1/0x2}
            mce: [Hardware Error]: TSC 9514888f3 ADDR 29d9000 MISC 8c
            mce: [Hardware Error]: PROCESSOR 0:906e1 TIME 1795148283 SOCKET 0 APIC 0 microcode 1
            mce: [Hardware Error]: Run the above through 'mcelog --ascii'
            mce: [Hardware Error]: Machine check: Processor context corrupt
            """);
        Assert.Equal((0, 1, 0xbd80000000100134, 0x29d9000ul, 0x8Cul, 7ul), (found.Cpu, found.Bank!.Value, found.Status!.Value, found.Addr!.Value, found.Misc, found.McgStatus!.Value));
    }

    [Fact]
    public void Corrected_ones_as_the_kernel_prints_them()
    {
        var found = One("[    1.5] mce: [Hardware Error]: CPU 2: Machine Check: 0 Bank 3: 9c00000000000135\n");
        Assert.Equal((2, 3, 0x9c00000000000135, null), (found.Cpu, found.Bank!.Value, found.Status!.Value, found.McgStatus));
    }

    [Theory]
    [InlineData("BANK 1", "line 1: CPU comes first")]
    [InlineData("CPU 0\nFOO 1", "line 2: 'FOO' is unknown")]
    [InlineData("CPU x", "line 1: 'x' is not a number")]
    [InlineData("CPU 0 ADDR", "line 1: a number is missing at its end")]
    [InlineData("CPU 0 STATUS", "line 1: 'STATUS' needs a value")]
    [InlineData("CPU 0 BANK 256", "line 1: BANK 256 is more than 255")]
    [InlineData("CPU 0 BANK 09", "line 1: '09' is not a number")]
    [InlineData("CPU 0: Machine Check Exception 5", "line 1: ':' is missing")]
    [InlineData("CPU 0 ADDR 0x11112222333344445", "line 1: '0x11112222333344445' is not a number")]
    public void Mistakes_name_their_line(string text, string message) =>
        Assert.Equal(message, Assert.Throws<FormatException>(() => MceInjectText.Parse(text)).Message);

    [Fact]
    public void No_text_makes_the_parser_throw_anything_else()
    {
        var random = new Random(3);
        string[] words = ["CPU", "BANK", "STATUS", "MCGSTATUS", "ADDR", "MISC", "0", "0x8c", "FATAL", "RIPV", ":", "\n", "RIP", "MCE", "Machine", "Check", "[Hardware Error]:", "#", "PROCESSOR", "TSC", "\u0000", "<", "bd80"];
        var read = 0;
        for (var i = 0; i < 20_000; i++)
        {
            var text = string.Join(' ', Enumerable.Range(0, random.Next(12)).Select(_ => words[random.Next(words.Length)]));
            try
            {
                read += MceInjectText.Parse(text).Count;
            }
            catch (FormatException)
            {
                continue;
            }
        }

        Assert.True(read > 100);
    }
}
