namespace Vmm.Platform.Bus;

/// <summary>What made a guest ask for a reset.</summary>
public enum ResetKind
{
    /// <summary>Reset control register, port 0xCF9 (and the ACPI reset register that points at it).</summary>
    ResetControl,

    /// <summary>Keyboard controller pulse of the reset line: port 0x64, command 0xFE.</summary>
    KeyboardController,

    /// <summary>System control port A, port 0x92 bit 0.</summary>
    FastReset,

    /// <summary>Processor shutdown after a triple fault.</summary>
    TripleFault,
}

/// <summary>Takes what a guest asks of the machine's power and reset lines. The machine acts after the current instruction.</summary>
public interface IPowerControl
{
    /// <summary>Soft off: ACPI S5.</summary>
    void PowerOff();

    /// <summary>Platform reset.</summary>
    void Reset(ResetKind kind);

    /// <summary>A test guest ends the run; <paramref name="value"/> is what it wrote. The process exit code is (value * 2) | 1.</summary>
    void DebugExit(uint value);
}
