using System.Buffers.Binary;
using Vmm.Specs.Pci;
using Vmm.Specs.Virtio;

namespace Vmm.Virtio;

/// <content>Capabilities that say where the structures are, and the one that reaches them without a BAR (§4.1.4.9).</content>
public sealed partial class VirtioPci
{
    int configAccess;

    void AddCapabilities()
    {
        configAccess = AddCapability(VirtioPciCap.PciConfig, 0, 0, VirtioPciCap.SizeWithExtra);
        if (device.Config.Length > 0)
        {
            AddCapability(VirtioPciCap.Device, DeviceOffset, (uint)device.Config.Length);
        }

        AddCapability(VirtioPciCap.Isr, IsrOffset, 1);
        var notify = AddCapability(VirtioPciCap.Notify, NotifyOffset, (uint)(identity.QueueSizes.Count * NotifyMultiplier), VirtioPciCap.SizeWithExtra);
        Function.Config.Define(new("VIRTIO.NOTIFY.MULT", notify + VirtioPciCap.Extra, 4, Reset: NotifyMultiplier));
        AddCapability(VirtioPciCap.Common, 0, VirtioCommon.Size);
    }

    int AddCapability(byte type, ulong offset, uint length, int size = VirtioPciCap.Size)
    {
        var isWindow = type == VirtioPciCap.PciConfig;
        var at = Function.AddCapability(PciCapabilityId.Vendor, size);
        var config = Function.Config;
        config.Define(new($"VIRTIO{type}.LEN", at + VirtioPciCap.Length, 1, Reset: (uint)size));
        config.Define(new($"VIRTIO{type}.TYPE", at + VirtioPciCap.Type, 1, Reset: type));
        config.Define(new($"VIRTIO{type}.BAR", at + VirtioPciCap.Bar, 1, Write: isWindow ? 0xFFu : 0));
        config.Define(new($"VIRTIO{type}.OFFSET", at + VirtioPciCap.Offset, 4, Write: isWindow ? uint.MaxValue : 0, Reset: offset));
        config.Define(new($"VIRTIO{type}.LENGTH", at + VirtioPciCap.StructureLength, 4, Write: isWindow ? uint.MaxValue : 0, Reset: length));
        if (isWindow)
        {
            config.Define(new("VIRTIO5.DATA", at + VirtioPciCap.Extra, 4, Write: uint.MaxValue));
        }

        return at;
    }

    /// <inheritdoc/>
    public void ConfigWritten(int register)
    {
        if (register == configAccess + VirtioPciCap.Extra && TryGetWindow(out var offset, out var length))
        {
            Span<byte> data = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(data, Function.Config.Get32(register));
            Function.Bars[0].Write(offset, data[..length]);
        }
    }

    /// <inheritdoc/>
    public void ConfigReading(int offset, int length)
    {
        var register = configAccess + VirtioPciCap.Extra;
        if (offset < register + 4 && register < offset + length && TryGetWindow(out var from, out var width))
        {
            Span<byte> data = stackalloc byte[4];
            data.Clear();
            Function.Bars[0].Read(from, data[..width]);
            Function.Config.Set32(register, BinaryPrimitives.ReadUInt32LittleEndian(data));
        }
    }

    /// <summary>False when the access that the driver described is none: another BAR, a bad length, not aligned, outside.</summary>
    bool TryGetWindow(out ulong offset, out int length)
    {
        offset = Function.Config.Get32(configAccess + VirtioPciCap.Offset);
        length = (int)Function.Config.Get32(configAccess + VirtioPciCap.StructureLength);
        return Function.Config.Get8(configAccess + VirtioPciCap.Bar) == 0 && length is 1 or 2 or 4 &&
            offset % (uint)length == 0 && offset < BarLength;
    }
}
