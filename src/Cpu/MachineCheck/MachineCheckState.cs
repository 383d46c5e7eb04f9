using Vmm.Specs.X86;

namespace Vmm.Cpu.MachineCheck;

/// <summary>
/// The machine-check architecture of one logical processor: global registers, banks, and the machine check that waits
/// for delivery (SDM 3B ch. 16). Banks are private to the processor.
/// </summary>
public sealed partial class MachineCheckState
{
    readonly MachineCheckBank[] banks;
    ulong status, control, extendedControl;
    ulong waiting;

    /// <summary>Creates empty banks.</summary>
    /// <exception cref="ArgumentException">The options contradict each other.</exception>
    public MachineCheckState(MachineCheckOptions options)
    {
        if (options.Problem is { } problem)
        {
            throw new ArgumentException($"machine check: {problem}", nameof(options));
        }

        Options = options;
        banks = new MachineCheckBank[options.Banks];
        PowerOn();
    }

    /// <summary>What the processor offers.</summary>
    public MachineCheckOptions Options { get; }

    /// <summary>IA32_MCG_STATUS.</summary>
    public ulong Status => status;

    /// <summary>A machine check waits for delivery.</summary>
    public bool IsWaiting { get; private set; }

    /// <summary>Machine-check exceptions that entered a handler.</summary>
    public ulong Delivered { get; private set; }

    /// <summary>Corrected machine-check interrupts that were raised.</summary>
    public ulong Interrupts { get; private set; }

    /// <summary>Software has enabled local machine checks (IA32_MCG_EXT_CTL.LMCE_EN).</summary>
    public bool IsLocalEnabled => (extendedControl & 1) != 0;

    /// <summary>Power-up: nothing recorded, everything enabled, as firmware leaves it.</summary>
    public void PowerOn()
    {
        Array.Clear(banks);
        WarmReset();
    }

    /// <summary>Reset without loss of power: what the banks recorded stays (SDM 3B §16.3.2.2).</summary>
    public void WarmReset()
    {
        for (var i = 0; i < banks.Length; i++)
        {
            banks[i].Ctl = ulong.MaxValue;
            banks[i].Ctl2 = 0;
        }

        status = extendedControl = waiting = 0;
        control = ulong.MaxValue;
        IsWaiting = false;
    }

    /// <summary>What the banks hold.</summary>
    public MachineCheckRecord[] Recorded() => [.. Enumerable.Range(0, banks.Length).Select(Bank)];

    /// <summary>Fills the banks with what they held before a reset without loss of power.</summary>
    public void Inherit(IReadOnlyList<MachineCheckRecord> records)
    {
        foreach (var record in records)
        {
            ref var bank = ref banks[record.Bank];
            (bank.Status, bank.Addr, bank.Misc) = (record.Status, record.Addr, record.Misc);
        }
    }

    /// <summary>A bank's record; STATUS without VAL is an empty one.</summary>
    public MachineCheckRecord Bank(int index) => new(index, banks[index].Status, banks[index].Addr, banks[index].Misc);

    /// <summary>True when an error of this status, recorded now, raises a machine-check exception: it is uncorrected, enabled and asks for it.</summary>
    public bool RaisesException(int bank, ulong errorStatus)
    {
        var found = new MciStatus(errorStatus);
        return found.Has(MciStatus.EN) && IsEnabled(bank) && found.Class(Options.Recovery) is not (MachineCheckClass.Corrected or MachineCheckClass.Ucna);
    }

    bool IsEnabled(int bank) => control != 0 && banks[bank].Ctl != 0;

    /// <summary>
    /// Records an error. With <paramref name="interrupt"/> a corrected machine-check interrupt is due (SDM 3B §16.5), which
    /// <paramref name="silent"/> suppresses.
    /// </summary>
    public LogOutcome Log(in MachineCheckRecord record, bool silent, out bool interrupt)
    {
        ref var bank = ref banks[record.Bank];
        var found = new MciStatus(IsEnabled(record.Bank) ? record.Status : record.Status & ~MciStatus.EN);
        var kind = found.Class(Options.Recovery);
        var before = new MciStatus(bank.Status) is var old && old.Has(MciStatus.VAL) && old.Class(Options.Recovery) == MachineCheckClass.Corrected ? old.CorrectedCount : 0;
        var outcome = bank.Log(found, record.Addr, record.Misc, Options.Recovery);
        var threshold = Math.Max((int)(bank.Ctl2 & MciCtl2.Threshold), 1);
        var crossed = kind == MachineCheckClass.Corrected && before < threshold && before + found.CorrectedCount >= threshold;
        interrupt = !silent && Options.Cmci && (bank.Ctl2 & MciCtl2.CMCI_EN) != 0 && (crossed || kind == MachineCheckClass.Ucna);
        Interrupts += interrupt ? 1u : 0;
        return outcome;
    }

    /// <summary>A machine check arrives with these IA32_MCG_STATUS flags. One that already waits becomes one with it.</summary>
    public void Signal(ulong flags)
    {
        // Restartable only if both are; local only if nobody else was told.
        const ulong Both = McgStatus.RIPV | McgStatus.LMCE_S;
        waiting = IsWaiting ? waiting & flags & Both | (waiting | flags) & McgStatus.EIPV : flags & (Both | McgStatus.EIPV);
        IsWaiting = true;
    }

    /// <summary>Takes the waiting machine check away without delivering it; returns its flags.</summary>
    public ulong Take()
    {
        IsWaiting = false;
        return waiting;
    }

    /// <summary>Enters the handler: MCIP and the flags go to IA32_MCG_STATUS. False when MCIP was set already: the processor shuts down.</summary>
    public bool TryEnter(ulong flags)
    {
        if ((status & McgStatus.MCIP) != 0)
        {
            return false;
        }

        status = flags | McgStatus.MCIP;
        Delivered++;
        return true;
    }
}
