using Vmm.Cpu.Vcpus;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Vmx;

/// <summary>Why a VM entry is refused.</summary>
/// <param name="InstructionError">VMfailValid with this VM-instruction error: 7 controls, 8 host state. 0: the entry fails with an exit.</param>
/// <param name="Reason">Basic exit reason of a failed entry, with bit 31 in the exit-reason field.</param>
/// <param name="Qualification">Exit qualification (SDM 3C §27.8): 0, 2 PDPTE, 3 NMI, 4 link pointer, or the number of an MSR entry.</param>
/// <param name="Field">The field at fault.</param>
/// <param name="Rule">The rule it breaks.</param>
public sealed record EntryFailure(uint InstructionError, ExitReason Reason, ulong Qualification, VmcsField Field, string Rule)
{
    /// <summary>What the exit-reason field holds; 0 after VMfailValid.</summary>
    public uint ExitReasonField => InstructionError != 0 ? 0 : (uint)Reason | ExitReasons.EntryFailure;

    /// <inheritdoc/>
    public override string ToString() => InstructionError != 0
        ? $"VM-instruction error {InstructionError}: {Field} (0x{(int)Field:x4}) {Rule}"
        : $"exit reason 0x{ExitReasonField:x8} ({Reason}), qualification {Qualification}: {Field} (0x{(int)Field:x4}) {Rule}";
}

/// <summary>The checks of a VM entry on a VMCS whose guest area is filled in (SDM 3C §27.2, §27.3).</summary>
public static partial class EntryChecks
{
    /// <summary>All checks in the processor's order: controls, host state, guest state.</summary>
    /// <returns>The first that fails, or null.</returns>
    public static EntryFailure? Run(Vmcs vmcs) => Controls(vmcs) ?? Host(vmcs) ?? Guest(vmcs);

    /// <summary>Collects the first broken rule of a stage.</summary>
    ref struct Checker(uint instructionError)
    {
        public EntryFailure? Failure { get; private set; }

        public void Require(bool good, VmcsField field, string rule, ulong qualification = 0)
        {
            if (!good)
            {
                Failure ??= new(instructionError, instructionError != 0 ? default : ExitReason.EntryGuestState, qualification, field, rule);
            }
        }
    }

    static bool IsCanonical(ulong address) => Vcpu.IsCanonical(address);

    static bool IsInWidth(ulong address) => address >> VmxCapability.PhysicalBits == 0;

    static bool IsPage(ulong address) => (address & 0xFFF) == 0 && IsInWidth(address);

    static bool IsPat(ulong value)
    {
        for (var i = 0; i < 8; i++)
        {
            if ((byte)(value >> i * 8) is not (0 or 1 or 4 or 5 or 6 or 7))
            {
                return false;
            }
        }

        return true;
    }
}
