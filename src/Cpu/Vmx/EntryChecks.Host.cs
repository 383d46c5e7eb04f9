using Vmm.Cpu.State;
using Vmm.Specs.X86;
using F = Vmm.Specs.X86.VmcsField;

namespace Vmm.Cpu.Vmx;

/// <content>Checks on the host-state area (SDM 3C §27.2.2 to §27.2.4): VM-instruction error 8.</content>
public static partial class EntryChecks
{
    const ulong EferDefined = Cr.EferSCE | Cr.EferLME | Cr.EferLMA | Cr.EferNXE;

    /// <summary>Checks on the host-state area.</summary>
    public static EntryFailure? Host(Vmcs v)
    {
        var check = new Checker(8);
        check.Require(HasFixed(v[F.HostCr0], VmxCapability.Cr0Fixed0, VmxCapability.Cr0Fixed1), F.HostCr0, "breaks the fixed bits of CR0");
        check.Require(HasFixed(v[F.HostCr4], VmxCapability.Cr4Fixed0, VmxCapability.Cr4Fixed1), F.HostCr4, "breaks the fixed bits of CR4");
        check.Require(IsInWidth(v[F.HostCr3]), F.HostCr3, "is beyond the physical-address width");
        foreach (var field in (ReadOnlySpan<F>)[F.HostSysenterEsp, F.HostSysenterEip, F.HostFsBase, F.HostGsBase, F.HostGdtrBase, F.HostIdtrBase, F.HostTrBase])
        {
            check.Require(IsCanonical(v[field]), field, "is not canonical");
        }

        check.Require((v.Exit & ExitControls.LoadPat) == 0 || IsPat(v[F.HostPat]), F.HostPat, "has a memory type that does not exist");
        var wide = (v.Exit & ExitControls.HostAddressSpace) != 0;
        if ((v.Exit & ExitControls.LoadEfer) != 0)
        {
            const ulong Long = Cr.EferLME | Cr.EferLMA;
            check.Require((v[F.HostEfer] & ~EferDefined) == 0, F.HostEfer, "has a reserved bit set");
            check.Require((v[F.HostEfer] & Long) == (wide ? Long : 0), F.HostEfer, "does not agree with the host address-space size");
        }

        CheckHostSelectors(ref check, v, wide);
        check.Require(wide, F.ExitControls, "leaves IA-32e mode: the processor is in it");
        check.Require((v[F.HostCr4] & Cr.Cr4PAE) != 0, F.HostCr4, "lacks PAE for a 64-bit host");
        check.Require(IsCanonical(v[F.HostRip]), F.HostRip, "is not canonical");
        return check.Failure;
    }

    static void CheckHostSelectors(ref Checker check, Vmcs v, bool wide)
    {
        foreach (var field in (ReadOnlySpan<F>)[F.HostEsSelector, F.HostCsSelector, F.HostSsSelector, F.HostDsSelector, F.HostFsSelector, F.HostGsSelector, F.HostTrSelector])
        {
            check.Require((v[field] & 7) == 0, field, "has an RPL or the LDT bit");
        }

        check.Require(v[F.HostCsSelector] != 0, F.HostCsSelector, "is null");
        check.Require(v[F.HostTrSelector] != 0, F.HostTrSelector, "is null");
        check.Require(wide || v[F.HostSsSelector] != 0, F.HostSsSelector, "is null for a 32-bit host");
    }

    static bool HasFixed(ulong value, ulong fixed0, ulong fixed1) => (value & fixed0) == fixed0 && (value & ~fixed1) == 0;
}
