using Vmm.Cpu.MachineCheck;
using Vmm.Specs.X86;
using Xunit;

namespace Vmm.Unit.Cpu.MachineCheck;

/// <summary>What a bank makes of a second error, and when CMCI is due (SDM 3B §16.3.2.2, §16.5, §16.6.4).</summary>
public sealed class BankTests
{
    const ulong Base = MciStatus.VAL | MciStatus.EN | MciStatus.ADDRV | MciStatus.MISCV;
    const ulong Ce = Base, Ucna = Base | MciStatus.UC, Srao = Ucna | MciStatus.S, Srar = Srao | MciStatus.AR, Fatal = Ucna | MciStatus.PCC;

    static MachineCheckState Log(MachineCheckOptions options, params ulong[] errors)
    {
        var state = new MachineCheckState(options);
        for (var i = 0; i < errors.Length; i++)
        {
            state.Log(new(2, errors[i] | (uint)(i + 1), (ulong)(i + 1) << 12, (ulong)i), false, out _);
        }

        return state;
    }

    /// <summary>First, second, which of them is kept, S, AR: tables 16-2 and 16-7.</summary>
    [Theory]
    [InlineData(Ce, Ce, 2, false, false)]
    [InlineData(Ce, Ucna, 2, false, false)]
    [InlineData(Ce, Srao, 2, true, false)]
    [InlineData(Ce, Srar, 2, true, true)]
    [InlineData(Ce, Fatal, 2, false, false)]
    [InlineData(Ucna, Ce, 1, false, false)]
    [InlineData(Srao, Ce, 1, true, false)]
    [InlineData(Srar, Ce, 1, true, true)]
    [InlineData(Fatal, Ce, 1, false, false)]
    [InlineData(Ucna, Ucna, 1, false, false)]
    [InlineData(Ucna, Srao, 1, true, false)]
    [InlineData(Ucna, Srar, 1, true, true)]
    [InlineData(Srao, Ucna, 1, true, false)]
    [InlineData(Srao, Srao, 1, true, false)]
    [InlineData(Srao, Srar, 1, true, true)]
    [InlineData(Srar, Ucna, 1, true, true)]
    [InlineData(Srar, Srao, 1, true, true)]
    [InlineData(Srar, Srar, 1, true, true)]
    [InlineData(Srar, Fatal, 2, false, false)]
    [InlineData(Fatal, Srar, 1, false, false)]
    [InlineData(Fatal, Fatal, 1, false, false)]
    public void A_second_error_replaces_the_first_or_only_shows_in_over(ulong first, ulong second, int kept, bool s, bool ar)
    {
        var held = Log(new(), first, second).Bank(2);
        var status = new MciStatus(held.Status);
        Assert.Equal(kept, status.McaCode);
        Assert.Equal((ulong)kept << 12, held.Addr);
        Assert.True(status.Has(MciStatus.OVER));
        Assert.Equal(s, status.Has(MciStatus.S));
        Assert.Equal(ar, status.Has(MciStatus.AR));
    }

    [Theory]
    [InlineData(Srar & ~MciStatus.EN, Ce, 2)]
    [InlineData(Ce, Srar & ~MciStatus.EN, 1)]
    public void An_enabled_error_goes_over_a_disabled_one(ulong first, ulong second, int kept) =>
        Assert.Equal(kept, new MciStatus(Log(new(), first, second).Bank(2).Status).McaCode);

    [Fact]
    public void The_first_error_sets_no_over_and_is_kept_to_the_letter()
    {
        var held = Log(new(), Srar).Bank(2);
        Assert.Equal(new MachineCheckRecord(2, Srar | 1, 0x1000, 0), held);
    }

    [Fact]
    public void Addr_and_misc_read_zero_without_their_valid_bits() =>
        Assert.Equal(new MachineCheckRecord(2, MciStatus.VAL | 1, 0, 0), Log(new(), MciStatus.VAL).Bank(2));

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 3)]
    public void Corrected_errors_are_counted(int errors, int count) =>
        Assert.Equal(count, new MciStatus(Log(new(), [.. Enumerable.Repeat(Ce, errors)]).Bank(2).Status).CorrectedCount);

    [Fact]
    public void The_count_sticks_at_its_end_with_the_overflow_bit()
    {
        var status = new MciStatus(Ce).WithCount(MciStatus.MaxCount + 1);
        Assert.Equal(MciStatus.MaxCount, status.CorrectedCount);
        Assert.True(status.Has(1ul << 52));
        Assert.True(status.WithCount(3).Has(1ul << 52));
    }

    [Fact]
    public void Without_recovery_every_uncorrected_error_is_fatal()
    {
        var state = new MachineCheckState(new() { Recovery = false, Local = false });
        Assert.True(state.RaisesException(2, Ucna));
        Assert.False(new MachineCheckState(new()).RaisesException(2, Ucna));
    }

    [Theory]
    [InlineData(Ce, false)]
    [InlineData(Ucna, false)]
    [InlineData(Srao, true)]
    [InlineData(Srar, true)]
    [InlineData(Fatal, true)]
    [InlineData(Fatal & ~MciStatus.EN, false)]
    public void Only_enabled_errors_that_ask_for_it_raise_an_exception(ulong status, bool raises) =>
        Assert.Equal(raises, new MachineCheckState(new()).RaisesException(2, status));

    [Theory]
    [InlineData(MachineCheckMsr.MCG_CTL)]
    [InlineData(MachineCheckMsr.MC0_CTL + 8)]
    public void A_disabled_bank_records_without_EN_and_raises_nothing(uint control)
    {
        var state = new MachineCheckState(new());
        Assert.True(state.TryWrite(control, 0, 0));
        Assert.False(state.RaisesException(2, Fatal));
        state.Log(new(2, Fatal, 0, 0), false, out _);
        Assert.Equal(Fatal & ~MciStatus.EN, state.Bank(2).Status);
    }

    /// <summary>Threshold, errors, interrupts.</summary>
    [Theory]
    [InlineData(0, 1, 1)]
    [InlineData(1, 1, 1)]
    [InlineData(1, 4, 1)]
    [InlineData(3, 2, 0)]
    [InlineData(3, 3, 1)]
    [InlineData(3, 9, 1)]
    public void Cmci_is_due_when_the_count_reaches_the_threshold_and_once_until_it_is_cleared(int threshold, int errors, int interrupts)
    {
        var state = new MachineCheckState(new());
        state.TryWrite(MachineCheckMsr.MC0_CTL2 + 2, MciCtl2.CMCI_EN | (uint)threshold, 0);
        for (var i = 0; i < errors; i++)
        {
            state.Log(new(2, Ce, 0, 0), false, out _);
        }

        Assert.Equal((ulong)interrupts, state.Interrupts);
        state.TryWrite(MachineCheckMsr.MC0_CTL + 9, 0, 0);
        for (var i = 0; i < Math.Max(threshold, 1); i++)
        {
            state.Log(new(2, Ce, 0, 0), false, out _);
        }

        Assert.Equal((ulong)interrupts + 1, state.Interrupts);
    }

    [Theory]
    [InlineData(Ucna, true, false, true)]
    [InlineData(Ucna, true, true, false)]
    [InlineData(Ucna, false, false, false)]
    [InlineData(Ce, false, false, false)]
    [InlineData(Srao, true, false, false)]
    public void Ucna_interrupts_at_once_where_cmci_is_enabled(ulong status, bool enabled, bool silent, bool due)
    {
        var state = new MachineCheckState(new());
        state.TryWrite(MachineCheckMsr.MC0_CTL2 + 2, (enabled ? MciCtl2.CMCI_EN : 0) | 100, 0);
        state.Log(new(2, status, 0, 0), silent, out var interrupt);
        Assert.Equal(due, interrupt);
    }

    [Theory]
    [InlineData(McgStatus.RIPV | McgStatus.EIPV, McgStatus.RIPV, McgStatus.RIPV | McgStatus.EIPV)]
    [InlineData(McgStatus.RIPV, 0ul, 0ul)]
    [InlineData(McgStatus.RIPV | McgStatus.LMCE_S, McgStatus.RIPV, McgStatus.RIPV)]
    public void Two_that_wait_become_one_that_promises_no_more_than_both(ulong first, ulong second, ulong both)
    {
        var state = new MachineCheckState(new());
        state.Signal(first);
        state.Signal(second);
        Assert.Equal(both, state.Take());
        Assert.False(state.IsWaiting);
    }
}
