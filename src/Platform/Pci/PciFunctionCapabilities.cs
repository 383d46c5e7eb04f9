using Vmm.Specs.Pci;

namespace Vmm.Platform.Pci;

/// <summary>Power management, PCI Express and what writes to capabilities do.</summary>
public sealed partial class PciFunction
{
    const int D0 = 0, D3Hot = 3;

    int powerOffset = -1;
    int expressOffset = -1;
    int powerState;

    /// <summary>True in D3hot: only config space answers, and the function neither masters the bus nor interrupts.</summary>
    public bool IsAsleep => powerState == D3Hot;

    /// <summary>Adds power management with D0 and D3hot; waking keeps all state (No_Soft_Reset).</summary>
    public void AddPowerManagement()
    {
        powerOffset = AddCapability(PciCapabilityId.PowerManagement, 8);
        Config.Define(new("PM.PMC", powerOffset + PowerLayout.Capabilities, 2, Reset: 3));
        Config.Define(new("PM.PMCSR", powerOffset + PowerLayout.ControlStatus, 4, Write: 3, Reset: PowerLayout.NoSoftReset));
    }

    /// <summary>Adds the PCI Express capability of a root complex integrated endpoint, with function-level reset.</summary>
    public void AddExpress()
    {
        var at = expressOffset = AddCapability(PciCapabilityId.Express, ExpressLayout.Length);
        Config.Define(new("PCIE.CAP", at + ExpressLayout.Capabilities, 2, Reset: ExpressLayout.RootComplexIntegratedEndpoint << 4 | 2));
        // Function Level Reset (28), Role-Based Error Reporting (15), Max Payload 256 bytes.
        Config.Define(new("PCIE.DCAP", at + ExpressLayout.DeviceCapabilities, 4, Reset: 1u << 28 | 1u << 15 | 1));
        // Defaults: Relaxed Ordering (4), No Snoop (11), Max Read Request 512 bytes (14:12 = 2).
        Config.Define(new("PCIE.DCTL", at + ExpressLayout.DeviceControl, 2, Write: 0xF8FF, WriteOnly: ExpressLayout.InitiateReset, Reset: 0x2810));
        Config.Define(new("PCIE.DSTS", at + ExpressLayout.DeviceStatus, 2, ClearOnOne: 0xF));
        // Completion Timeout Disable Supported (4).
        Config.Define(new("PCIE.DCAP2", at + ExpressLayout.DeviceCapabilities2, 4, Reset: 1u << 4));
        Config.Define(new("PCIE.DCTL2", at + ExpressLayout.DeviceControl2, 2, Write: 0x1F));
    }

    /// <summary>Runs the side effects of a write to a capability. False when the register is none of the function's own.</summary>
    bool CapabilityWritten(int register)
    {
        if (register == powerOffset + PowerLayout.ControlStatus && powerOffset >= 0)
        {
            PowerWritten();
        }
        else if (register == expressOffset + ExpressLayout.DeviceControl && expressOffset >= 0)
        {
            if ((Config.Get16(register) & ExpressLayout.InitiateReset) != 0)
            {
                Reset();
            }
        }
        else if (Msix != null && register == Msix.Offset + MsixLayout.Control)
        {
            UpdateGates();
            Msix.Written();
        }
        else if (Msi != null && register >= Msi.Offset && register < Msi.Offset + Msi.Length)
        {
            UpdateGates();
            Msi.Written();
        }
        else
        {
            return false;
        }

        return true;
    }

    /// <summary>A write of an unsupported state (D1, D2) completes and changes nothing (PCI PM 1.2 §3.2.4).</summary>
    void PowerWritten()
    {
        var wanted = Config.Get32(powerOffset + PowerLayout.ControlStatus) & 3;
        if (wanted is D0 or D3Hot)
        {
            powerState = (int)wanted;
        }

        Config.Change32(powerOffset + PowerLayout.ControlStatus, 3, (uint)powerState);
        UpdateGates();
        Bus?.Remap();
    }

    void RestorePowerState() =>
        powerState = powerOffset >= 0 && (Config.Get32(powerOffset + PowerLayout.ControlStatus) & 3) == D3Hot ? D3Hot : D0;
}
