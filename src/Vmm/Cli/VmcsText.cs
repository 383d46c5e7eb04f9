using System.Globalization;
using System.Text;
using Vmm.Cpu.State;
using Vmm.Cpu.Vmx;
using Vmm.Specs.X86;
using F = Vmm.Specs.X86.VmcsField;

namespace Vmm.Cli;

/// <summary>A VMCS for people: every field with its encoding, value and meaning.</summary>
internal static class VmcsText
{
    static readonly (ulong Bit, string Name)[] Cr0Bits =
        [(Cr.Cr0PE, "PE"), (Cr.Cr0MP, "MP"), (Cr.Cr0EM, "EM"), (Cr.Cr0TS, "TS"), (Cr.Cr0ET, "ET"), (Cr.Cr0NE, "NE"), (Cr.Cr0WP, "WP"), (Cr.Cr0AM, "AM"),
         (Cr.Cr0NW, "NW"), (Cr.Cr0CD, "CD"), (Cr.Cr0PG, "PG")];

    static readonly (ulong Bit, string Name)[] Cr4Bits =
        [(1, "VME"), (2, "PVI"), (4, "TSD"), (8, "DE"), (16, "PSE"), (32, "PAE"), (64, "MCE"), (128, "PGE"), (256, "PCE"), (512, "OSFXSR"),
         (1024, "OSXMMEXCPT"), (1 << 11, "UMIP"), (1 << 12, "LA57"), (1 << 13, "VMXE"), (1 << 14, "SMXE"), (1 << 16, "FSGSBASE"), (1 << 17, "PCIDE"),
         (1 << 18, "OSXSAVE"), (1 << 20, "SMEP"), (1 << 21, "SMAP"), (1 << 22, "PKE")];

    static readonly string[] Vectors =
        ["#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9", "#TS", "#NP", "#SS", "#GP", "#PF", "15", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"];

    /// <summary>All fields, area by area.</summary>
    public static string All(Vmcs vmcs)
    {
        var text = new StringBuilder();
        foreach (var area in VmcsFields.All.GroupBy(VmcsFields.Area).OrderBy(g => g.Key))
        {
            text.AppendLine(area.Key switch
            {
                VmcsArea.Control => "controls", VmcsArea.ExitInformation => "exit information", VmcsArea.Guest => "guest state", _ => "host state",
            });
            foreach (var field in area)
            {
                text.AppendLine(Line(vmcs, field));
            }
        }

        return text.ToString();
    }

    static string Line(Vmcs vmcs, F field)
    {
        var digits = VmcsFields.Width(field) switch { VmcsWidth.Word => 4, VmcsWidth.Double => 8, _ => 16 };
        var value = vmcs[field].ToString("x" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture).PadLeft(16);
        return $"  0x{(int)field:x4} {field,-33} {value}  {Meaning(vmcs, field)}".TrimEnd();
    }

    /// <summary>What a field's value means, or nothing where the number says it.</summary>
    public static string Meaning(Vmcs vmcs, F field)
    {
        var value = vmcs[field];
        return field switch
        {
            F.PinControls => Flags((PinControls)value, VmxCapability.Pin),
            F.PrimaryControls => Flags((PrimaryControls)value, VmxCapability.Primary),
            F.SecondaryControls => Flags((SecondaryControls)value, VmxCapability.Secondary),
            F.ExitControls => Flags((ExitControls)value, VmxCapability.Exit),
            F.EntryControls => Flags((EntryControls)value, VmxCapability.Entry),
            F.ExceptionBitmap => Exceptions((uint)value),
            F.Cr0GuestHostMask or F.Cr4GuestHostMask => Mask(value, field == F.Cr0GuestHostMask ? Cr0Bits : Cr4Bits),
            F.Cr0ReadShadow or F.GuestCr0 or F.HostCr0 => Bits(value, Cr0Bits),
            F.Cr4ReadShadow or F.GuestCr4 or F.HostCr4 => Bits(value, Cr4Bits),
            F.ExitReason => Reason(value),
            F.ExitQualification => Qualification(vmcs),
            F.ExitInterruptionInfo or F.IdtVectoringInfo or F.EntryInterruptionInfo => new InterruptionInfo((uint)value).ToString(),
            F.GuestActivity => ((GuestActivityState)value).ToString(),
            F.GuestInterruptibility => value == 0 ? "nothing blocked" : $"blocked by {(Interruptibility)value}",
            F.GuestEfer or F.HostEfer => Bits(value, [(1, "SCE"), (1 << 8, "LME"), (1 << 10, "LMA"), (1 << 11, "NXE")]),
            F.EptPointer => $"memory type {value & 7}, {(value >> 3 & 7) + 1} levels",
            F.VmcsLinkPointer => value == ulong.MaxValue ? "none" : "",
            F.TscMultiplier => $"times {value / (double)(1ul << 48):0.######}",
            >= F.GuestEsAccess and <= F.GuestTrAccess => Rights(value),
            _ => "",
        };
    }

    static string Flags<T>(T value, AllowedBits allowed)
        where T : struct, Enum
    {
        var raw = (uint)Convert.ToUInt64(value, CultureInfo.InvariantCulture);
        var named = Enum.GetValues<T>().Where(f => Convert.ToUInt64(f, CultureInfo.InvariantCulture) is var bit && bit != 0 && (raw & bit) == bit);
        var fixedBits = raw & allowed.MustBeOne;
        return $"{string.Join(", ", named)}{(fixedBits != 0 ? $" (fixed 0x{fixedBits:x})" : "")}";
    }

    static string Exceptions(uint bitmap) => bitmap == uint.MaxValue
        ? "all" : string.Join(" ", Enumerable.Range(0, 32).Where(i => (bitmap >> i & 1) != 0).Select(i => i < Vectors.Length ? Vectors[i] : i.ToString(CultureInfo.InvariantCulture)));

    static string Bits(ulong value, (ulong Bit, string Name)[] names) => string.Join(" ", names.Where(n => (value & n.Bit) != 0).Select(n => n.Name));

    static string Mask(ulong mask, (ulong Bit, string Name)[] names) =>
        mask == ulong.MaxValue ? "the host owns all" : mask >> 32 != 0 ? $"the guest owns {Bits(~mask, names)}" : $"the host owns {Bits(mask, names)}";

    static string Reason(ulong value) => $"{(ExitReason)(value & 0xFFFF)}{((value & ExitReasons.EntryFailure) != 0 ? ", VM entry failed" : "")}";

    static string Qualification(Vmcs vmcs)
    {
        var raw = vmcs[F.ExitQualification];
        return (ExitReason)(vmcs[F.ExitReason] & 0xFFFF) switch
        {
            ExitReason.CrAccess => new CrAccessQualification(raw).ToString(),
            ExitReason.DrAccess => new DrAccessQualification(raw).ToString(),
            ExitReason.IoInstruction => new IoQualification(raw).ToString(),
            ExitReason.EptViolation => new EptViolationQualification(raw).ToString(),
            ExitReason.ApicAccess => new ApicAccessQualification(raw).ToString(),
            ExitReason.TaskSwitch => new TaskSwitchQualification(raw).ToString(),
            _ => "",
        };
    }

    static string Rights(ulong value) => (value & 1 << 16) != 0 ? "unusable"
        : $"type {value & 15}{((value & 16) != 0 ? " S" : "")} DPL {value >> 5 & 3}{((value & 128) != 0 ? " P" : "")}{((value & 0x2000) != 0 ? " L" : "")}{((value & 0x4000) != 0 ? " D/B" : "")}{((value & 0x8000) != 0 ? " G" : "")}";
}
