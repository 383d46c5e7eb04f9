using Vmm.Specs.X86;

namespace Vmm.Cpu.MachineCheck;

/// <summary>The machine-check architecture that a processor offers.</summary>
public sealed record MachineCheckOptions
{
    /// <summary>Reporting banks, 1 to 32.</summary>
    public int Banks { get; init; } = 10;

    /// <summary>Corrected machine-check interrupts and IA32_MCi_CTL2.</summary>
    public bool Cmci { get; init; } = true;

    /// <summary>Software error recovery: SRAO, SRAR and UCNA.</summary>
    public bool Recovery { get; init; } = true;

    /// <summary>Local machine checks; needs <see cref="Recovery"/>.</summary>
    public bool Local { get; init; } = true;

    /// <summary>IA32_MCG_CAP.</summary>
    public ulong Capabilities => (ulong)Banks | McgCap.CTL_P | (Cmci ? McgCap.CMCI_P : 0) | (Recovery ? McgCap.SER_P : 0) | (Local ? McgCap.LMCE_P : 0);

    /// <summary>What is wrong with these options, or null.</summary>
    public string? Problem => Banks is < 1 or > MachineCheckMsr.MaxBanks
        ? $"{Banks} banks are not 1 to {MachineCheckMsr.MaxBanks}"
        : Local && !Recovery ? "local machine checks need software error recovery (ser=on)" : null;
}
