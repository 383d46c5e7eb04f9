using Vmm.Specs.X86;

namespace Vmm.Cpu.Vmx;

/// <summary>A VMCS field that does not exist, or a value that it cannot hold.</summary>
public sealed class VmcsFieldException(string message) : Exception(message);

/// <summary>
/// A virtual-machine control structure: one value for each field, found by its SDM encoding. It checks nothing but the field's
/// existence and width, as VMREAD and VMWRITE; what a VM entry makes of the values is in <see cref="EntryChecks"/>.
/// </summary>
public sealed class Vmcs
{
    readonly ulong[] values = new ulong[1024];

    /// <summary>Reads a field of the table; others read as zero.</summary>
    public ulong this[VmcsField field]
    {
        get => values[Slot(field)];
        set => values[Slot(field)] = value & VmcsFields.Mask(field);
    }

    // Width, area and index of the encoding, without the gaps between them.
    static int Slot(VmcsField field) => (int)field >> 5 & 0x300 | (int)field >> 4 & 0xC0 | (int)field >> 1 & 0x3F;

    /// <summary>VMREAD: a field, or with bit 0 set the upper half of a 64-bit field.</summary>
    /// <exception cref="VmcsFieldException">There is no such field (VM-instruction error 12).</exception>
    public ulong Read(uint encoding)
    {
        var field = Find(encoding, out var upper);
        return upper ? this[field] >> 32 : this[field];
    }

    /// <summary>VMWRITE.</summary>
    /// <exception cref="VmcsFieldException">There is no such field (error 12), it is read-only (error 13), or the value is too wide.</exception>
    public void Write(uint encoding, ulong value)
    {
        var field = Find(encoding, out var upper);
        if (VmcsFields.Area(field) == VmcsArea.ExitInformation)
        {
            throw new VmcsFieldException($"VMCS field {field} (0x{encoding:x4}) is read-only");
        }

        if ((value & ~(upper ? 0xFFFF_FFFF : VmcsFields.Mask(field))) != 0)
        {
            throw new VmcsFieldException($"0x{value:x} is wider than VMCS field {field} (0x{encoding:x4})");
        }

        this[field] = upper ? this[field] & 0xFFFF_FFFF | value << 32 : value;
    }

    static VmcsField Find(uint encoding, out bool upper)
    {
        var field = (VmcsField)(encoding & ~1u);
        upper = (encoding & 1) != 0;
        return encoding <= 0x7FFF && VmcsFields.IsKnown(field) && (!upper || VmcsFields.Width(field) == VmcsWidth.Quad)
            ? field
            : throw new VmcsFieldException($"0x{encoding:x4} is not a VMCS field encoding (SDM 3D appendix B)");
    }

    /// <summary>Copies every field.</summary>
    public void CopyFrom(Vmcs other) => other.values.CopyTo(values, 0);

    /// <summary>Pin-based controls.</summary>
    public PinControls Pin
    {
        get => (PinControls)this[VmcsField.PinControls];
        set => this[VmcsField.PinControls] = (ulong)value;
    }

    /// <summary>Primary processor-based controls.</summary>
    public PrimaryControls Primary
    {
        get => (PrimaryControls)this[VmcsField.PrimaryControls];
        set => this[VmcsField.PrimaryControls] = (ulong)value;
    }

    /// <summary>Secondary processor-based controls that are in force: none while they are not activated (SDM 3C §25.6.2).</summary>
    public SecondaryControls Secondary =>
        (Primary & PrimaryControls.ActivateSecondary) != 0 ? (SecondaryControls)this[VmcsField.SecondaryControls] : SecondaryControls.None;

    /// <summary>VM-exit controls.</summary>
    public ExitControls Exit
    {
        get => (ExitControls)this[VmcsField.ExitControls];
        set => this[VmcsField.ExitControls] = (ulong)value;
    }

    /// <summary>VM-entry controls.</summary>
    public EntryControls Entry
    {
        get => (EntryControls)this[VmcsField.EntryControls];
        set => this[VmcsField.EntryControls] = (ulong)value;
    }
}
