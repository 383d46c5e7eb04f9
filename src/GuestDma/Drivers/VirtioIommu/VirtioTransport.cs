using Vmm.GuestDma.Guest;
using Vmm.Platform.Dma;
using Vmm.Specs.Virtio;

namespace Vmm.GuestDma.Drivers.VirtioIommu;

/// <summary>The PCI transport of a virtio 1.2 device from the driver's side (virtio 1.2 §4.1.4): structures found by their capabilities.</summary>
sealed class VirtioTransport
{
    const int CapabilityPointer = 0x34, VendorSpecific = 9, MostCapabilities = 48, FirstBar = 0x10, Command = 4;

    readonly IGuestView view;
    readonly Bdf function;
    readonly ulong common, notify;
    readonly uint notifyMultiplier;

    public VirtioTransport(IGuestView view, Bdf function)
    {
        this.view = view;
        this.function = function;
        view.WriteConfig(function, Command, 2, 6);
        var at = (int)view.ReadConfig(function, CapabilityPointer, 1);
        for (var left = MostCapabilities; left > 0 && at != 0; left--)
        {
            if (view.ReadConfig(function, at, 1) == VendorSpecific)
            {
                var type = (byte)view.ReadConfig(function, at + VirtioPciCap.Type, 1);
                switch (type)
                {
                    case VirtioPciCap.Common:
                        common = Address(at);
                        break;
                    case VirtioPciCap.Device:
                        Device = Address(at);
                        break;
                    case VirtioPciCap.Notify:
                        notify = Address(at);
                        notifyMultiplier = view.ReadConfig(function, at + VirtioPciCap.Extra, 4);
                        break;
                }
            }

            at = (int)view.ReadConfig(function, at + 1, 1);
        }

        if (common == 0 || notify == 0 || Device == 0)
        {
            throw new InvalidOperationException($"virtio: {function} lacks a structure");
        }
    }

    /// <summary>Address of the device-specific configuration.</summary>
    public ulong Device { get; }

    /// <summary>Resets, and agrees on features (virtio 1.2 §3.1.1); returns what was agreed on.</summary>
    public ulong Negotiate(ulong wanted)
    {
        Status = VirtioStatus.None;
        Status = VirtioStatus.Acknowledge;
        Status = VirtioStatus.Acknowledge | VirtioStatus.Driver;
        var agreed = 0ul;
        for (var half = 0; half < 2; half++)
        {
            Write(VirtioCommon.DeviceFeatureSelect, 4, (uint)half);
            var word = (uint)view.ReadRegister(common + VirtioCommon.DeviceFeature, 4) & (uint)(wanted >> 32 * half);
            Write(VirtioCommon.DriverFeatureSelect, 4, (uint)half);
            Write(VirtioCommon.DriverFeature, 4, word);
            agreed |= (ulong)word << 32 * half;
        }

        Status = VirtioStatus.Acknowledge | VirtioStatus.Driver | VirtioStatus.FeaturesOk;
        if ((Status & VirtioStatus.FeaturesOk) == 0)
        {
            throw new InvalidOperationException($"virtio: {function} refuses the features 0x{agreed:x}");
        }

        return agreed;
    }

    /// <summary>Sets a queue up; returns the address that notifies the device of it.</summary>
    public ulong EnableQueue(int index, int entries, ulong descriptors, ulong available, ulong used)
    {
        Write(VirtioCommon.QueueSelect, 2, (uint)index);
        Write(VirtioCommon.QueueSize, 2, (uint)entries);
        Write(VirtioCommon.QueueDesc, 8, descriptors);
        Write(VirtioCommon.QueueDriver, 8, available);
        Write(VirtioCommon.QueueDevice, 8, used);
        Write(VirtioCommon.QueueEnable, 2, 1);
        return notify + view.ReadRegister(common + VirtioCommon.QueueNotifyOff, 2) * notifyMultiplier;
    }

    /// <summary>The driver is ready.</summary>
    public void Start() => Status |= VirtioStatus.DriverOk;

    VirtioStatus Status
    {
        get => (VirtioStatus)view.ReadRegister(common + VirtioCommon.DeviceStatus, 1);
        set => Write(VirtioCommon.DeviceStatus, 1, (byte)value);
    }

    void Write(int offset, int size, ulong value) => view.WriteRegister(common + (ulong)offset, size, value);

    ulong Address(int capability)
    {
        var bar = FirstBar + 4 * (int)view.ReadConfig(function, capability + VirtioPciCap.Bar, 1);
        var low = view.ReadConfig(function, bar, 4);
        var high = (low & 4) != 0 ? view.ReadConfig(function, bar + 4, 4) : 0;
        return ((ulong)high << 32 | low & ~0xFu) + view.ReadConfig(function, capability + VirtioPciCap.Offset, 4);
    }
}
