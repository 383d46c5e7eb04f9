using Vmm.Cpu.Vcpus;
using Vmm.Specs.X86;

namespace Vmm.Machine.MachineChecks;

/// <summary>Who is told of an injected machine check.</summary>
public enum MachineCheckSignal
{
    /// <summary>
    /// As the error demands: corrected errors and UCNA through CMCI if that is enabled, SRAR to its own processor only where
    /// local machine checks are enabled, everything else to all processors.
    /// </summary>
    Auto,

    /// <summary>A machine-check exception on all processors.</summary>
    Broadcast,

    /// <summary>A machine-check exception on the target alone without saying so: what a lost broadcast looks like.</summary>
    Target,

    /// <summary>A local machine check (LMCE_S); a broadcast where software has not enabled local ones.</summary>
    Local,

    /// <summary>Nobody: the bank is filled and waits for polling.</summary>
    Silent,
}

/// <summary>What an injection waits for.</summary>
public enum InjectionTrigger
{
    /// <summary>Nothing.</summary>
    Now,

    /// <summary>The target has retired <see cref="InjectionCondition.Value"/> instructions.</summary>
    Instruction,

    /// <summary>Virtual time has reached <see cref="InjectionCondition.Value"/> cycles.</summary>
    Time,

    /// <summary>Somebody touches the page at <see cref="InjectionCondition.Value"/>, which is poisoned until then, and after unless <see cref="MachineCheckInjection.Once"/>.</summary>
    Page,

    /// <summary>The target has made <see cref="InjectionCondition.Value"/> exits for <see cref="InjectionCondition.Exit"/>.</summary>
    Exit,
}

/// <summary>Whose access to a poisoned page counts.</summary>
public enum PageToucher
{
    /// <summary>Everybody's.</summary>
    Any,

    /// <summary>Processors'.</summary>
    Cpu,

    /// <summary>Devices'.</summary>
    Device,
}

/// <summary>When an injection happens. The default is now.</summary>
/// <param name="Trigger">What it waits for.</param>
/// <param name="Value">Instructions, cycles, page address or number of exits.</param>
/// <param name="Exit">The exit reason to wait for.</param>
/// <param name="By">Whose touch of a page counts.</param>
public readonly record struct InjectionCondition(InjectionTrigger Trigger, ulong Value = 0, ExitReason Exit = default, PageToucher By = PageToucher.Any);

/// <summary>One machine check to be injected.</summary>
public sealed record MachineCheckInjection
{
    /// <summary>The vCPU whose bank records it. A processor that touches a poisoned page records in its own.</summary>
    public int Cpu { get; init; }

    /// <summary>The bank, or null for the one that fits the access to a poisoned page.</summary>
    public int? Bank { get; init; }

    /// <summary>IA32_MCi_STATUS, or null for what fits the access to a poisoned page.</summary>
    public ulong? Status { get; init; }

    /// <summary>IA32_MCi_ADDR, or null: the touched address of a poisoned page, otherwise 0.</summary>
    public ulong? Addr { get; init; }

    /// <summary>IA32_MCi_MISC.</summary>
    public ulong Misc { get; init; } = MachineCheckCode.PageAddressMisc;

    /// <summary>RIPV and EIPV as the target's IA32_MCG_STATUS shows them, or null: both for SRAR, otherwise RIPV.</summary>
    public ulong? McgStatus { get; init; }

    /// <summary>Who is told.</summary>
    public MachineCheckSignal Signal { get; init; }

    /// <summary>When.</summary>
    public InjectionCondition When { get; init; }

    /// <summary>A poisoned page heals with the first touch.</summary>
    public bool Once { get; init; }
}

/// <summary>A field of an injection that cannot be.</summary>
/// <param name="Field">Name of the field in lower case.</param>
/// <param name="Problem">What is wrong with it.</param>
public readonly record struct InjectionViolation(string Field, string Problem)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Field}: {Problem}";
}
