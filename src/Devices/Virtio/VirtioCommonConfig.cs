using Vmm.Platform.Registers;
using Vmm.Specs.Virtio;

namespace Vmm.Virtio;

/// <content>
/// The common configuration (§4.1.4.3). The registers are a view: a write is offered to the state behind, which takes it
/// or not, and afterwards they show that state again. So fields that are fixed for now simply do not change.
/// </content>
public sealed partial class VirtioPci
{
    const VirtioStatus Negotiating = VirtioStatus.Acknowledge | VirtioStatus.Driver;

    readonly RegisterFile common = new(
        VirtioCommon.Size,
        new("device_feature_select", VirtioCommon.DeviceFeatureSelect, 4, Write: uint.MaxValue),
        new("device_feature", VirtioCommon.DeviceFeature, 4),
        new("driver_feature_select", VirtioCommon.DriverFeatureSelect, 4, Write: uint.MaxValue),
        new("driver_feature", VirtioCommon.DriverFeature, 4, Write: uint.MaxValue),
        new("config_msix_vector", VirtioCommon.ConfigMsixVector, 2, Write: 0xFFFF),
        new("num_queues", VirtioCommon.NumQueues, 2),
        new("device_status", VirtioCommon.DeviceStatus, 1, Write: 0xFF),
        new("config_generation", VirtioCommon.ConfigGeneration, 1),
        new("queue_select", VirtioCommon.QueueSelect, 2, Write: 0xFFFF),
        new("queue_size", VirtioCommon.QueueSize, 2, Write: 0xFFFF),
        new("queue_msix_vector", VirtioCommon.QueueMsixVector, 2, Write: 0xFFFF),
        new("queue_enable", VirtioCommon.QueueEnable, 2, Write: 0xFFFF),
        new("queue_notify_off", VirtioCommon.QueueNotifyOff, 2),
        new("queue_desc", VirtioCommon.QueueDesc, 8, Write: ulong.MaxValue),
        new("queue_driver", VirtioCommon.QueueDriver, 8, Write: ulong.MaxValue),
        new("queue_device", VirtioCommon.QueueDevice, 8, Write: ulong.MaxValue),
        new("queue_notify_data", VirtioCommon.QueueNotifyData, 2),
        new("queue_reset", VirtioCommon.QueueReset, 2, Write: 0xFFFF));

    ulong driverFeatures;

    /// <summary>The driver accepted a feature bit from 64 on; none is offered there.</summary>
    bool acceptsUnknown;

    byte generation;
    bool configIsNew;
    ushort configVector;

    /// <summary>Device status.</summary>
    public VirtioStatus Status { get; private set; }

    /// <summary>Features in force; 0 before FEATURES_OK.</summary>
    public ulong Negotiated => (Status & VirtioStatus.FeaturesOk) != 0 ? driverFeatures : 0;

    /// <summary>The common configuration, for inspection.</summary>
    public RegisterFile Common => common;

    Virtqueue? Selected
    {
        get
        {
            var index = common.Get16(VirtioCommon.QueueSelect);
            return index < queues.Length ? queues[index] : null;
        }
    }

    void WriteCommon(ulong offset, ReadOnlySpan<byte> data)
    {
        foreach (var register in common.Write(offset, data))
        {
            if (register < VirtioCommon.QueueSelect)
            {
                DeviceRegisterWritten(register);
            }
            else if (Selected is { } queue)
            {
                QueueRegisterWritten(queue, register);
            }
        }

        ShowCommon();
    }

    void DeviceRegisterWritten(int register)
    {
        switch (register)
        {
            case VirtioCommon.DriverFeature when (Status & VirtioStatus.FeaturesOk) == 0:
                SetDriverFeatures(common.Get32(VirtioCommon.DriverFeatureSelect), common.Get32(register));
                break;
            case VirtioCommon.ConfigMsixVector:
                configVector = ValidVector(common.Get16(register));
                break;
            case VirtioCommon.DeviceStatus:
                StatusWritten((VirtioStatus)common.Get8(register));
                break;
        }
    }

    void SetDriverFeatures(uint select, uint value)
    {
        switch (select)
        {
            case 0:
                driverFeatures = driverFeatures & ~(ulong)uint.MaxValue | value;
                break;
            case 1:
                driverFeatures = (uint)driverFeatures | (ulong)value << 32;
                break;
            default:
                acceptsUnknown |= value != 0;
                break;
        }
    }

    /// <summary>
    /// §2.1, §3.1.1: 0 resets; otherwise bits are only added, and each step needs those before it. A step that is refused
    /// does not show in the register.
    /// </summary>
    void StatusWritten(VirtioStatus written)
    {
        if (written == VirtioStatus.None)
        {
            ResetDevice();
            return;
        }

        Status |= written & (VirtioStatus.Acknowledge | VirtioStatus.Failed);
        if ((Status & VirtioStatus.Acknowledge) != 0)
        {
            Status |= written & VirtioStatus.Driver;
        }

        if ((written & VirtioStatus.FeaturesOk) != 0 && (Status & (Negotiating | VirtioStatus.FeaturesOk)) == Negotiating && AcceptFeatures())
        {
            Status |= VirtioStatus.FeaturesOk;
        }

        if ((Status & VirtioStatus.FeaturesOk) != 0)
        {
            Status |= written & VirtioStatus.DriverOk;
        }
    }

    /// <summary>§2.2.2, §6.1: only offered bits, and those that this device cannot do without.</summary>
    bool AcceptFeatures()
    {
        var needed = VirtioFeature.Version1 | Offered & VirtioFeature.AccessPlatform;
        return !acceptsUnknown && (driverFeatures & ~Offered) == 0 && (driverFeatures & needed) == needed && device.Accept(driverFeatures);
    }

    void QueueRegisterWritten(Virtqueue queue, int register)
    {
        if (register == VirtioCommon.QueueMsixVector)
        {
            queue.Vector = ValidVector(common.Get16(register));
        }
        else if (register == VirtioCommon.QueueReset)
        {
            if (common.Get16(register) == 1 && HasFeature(VirtioFeature.RingReset) && queue.IsEnabled)
            {
                ResetQueue(queue);
            }
        }
        else if (!queue.IsEnabled && ((Status & VirtioStatus.DriverOk) == 0 || queue.WasReset))
        {
            SetUpQueue(queue, register);
        }
    }

    void SetUpQueue(Virtqueue queue, int register)
    {
        switch (register)
        {
            case VirtioCommon.QueueSize:
                queue.Size = common.Get16(register);
                break;
            case VirtioCommon.QueueDesc:
                queue.DescriptorArea = common.Get64(register);
                break;
            case VirtioCommon.QueueDriver:
                queue.DriverArea = common.Get64(register);
                break;
            case VirtioCommon.QueueDevice:
                queue.DeviceArea = common.Get64(register);
                break;
            case VirtioCommon.QueueEnable when common.Get16(register) == 1 && (Status & VirtioStatus.FeaturesOk) != 0:
                if (!queue.Enable(HasFeature(VirtioFeature.RingPacked)))
                {
                    NeedReset(VirtioFault.QueueSetup, queue.Index);
                }

                break;
        }
    }

    void ResetQueue(Virtqueue queue)
    {
        device.QueueReset(queue);
        queue.Reset();
        queue.WasReset = true;
    }

    ushort ValidVector(ushort vector) => vector < VectorCount ? vector : VirtioCommon.NoVector;

    /// <summary>Makes the registers show the state.</summary>
    void ShowCommon()
    {
        var offered = common.Get32(VirtioCommon.DeviceFeatureSelect) switch { 0 => (uint)Offered, 1 => (uint)(Offered >> 32), _ => 0u };
        var accepted = common.Get32(VirtioCommon.DriverFeatureSelect) switch { 0 => (uint)driverFeatures, 1 => (uint)(driverFeatures >> 32), _ => 0u };
        common.Set32(VirtioCommon.DeviceFeature, offered);
        common.Set32(VirtioCommon.DriverFeature, accepted);
        common.Set16(VirtioCommon.ConfigMsixVector, configVector);
        common.Set16(VirtioCommon.NumQueues, (ushort)queues.Length);
        common.Set8(VirtioCommon.DeviceStatus, (byte)Status);
        common.Set8(VirtioCommon.ConfigGeneration, generation);
        // A queue that does not exist, or cannot as it is set up, has size 0 (§4.1.4.3.1).
        var queue = Selected;
        common.Set16(VirtioCommon.QueueSize, (ushort)(queue?.HasValidSize(HasFeature(VirtioFeature.RingPacked)) == true ? queue.Size : 0));
        common.Set16(VirtioCommon.QueueMsixVector, queue?.Vector ?? VirtioCommon.NoVector);
        common.Set16(VirtioCommon.QueueEnable, queue?.IsEnabled == true ? (ushort)1 : (ushort)0);
        common.Set16(VirtioCommon.QueueNotifyOff, (ushort)(queue?.Index ?? 0));
        common.Set64(VirtioCommon.QueueDesc, queue?.DescriptorArea ?? 0);
        common.Set64(VirtioCommon.QueueDriver, queue?.DriverArea ?? 0);
        common.Set64(VirtioCommon.QueueDevice, queue?.DeviceArea ?? 0);
        common.Set16(VirtioCommon.QueueReset, 0);
    }

    void ResetDevice()
    {
        device.Reset();
        ResetTransport();
    }

    void ResetTransport()
    {
        resume.Disarm();
        foreach (var queue in queues)
        {
            queue.Reset();
        }

        Status = VirtioStatus.None;
        driverFeatures = 0;
        acceptsUnknown = false;
        generation = 0;
        configIsNew = false;
        configVector = VirtioCommon.NoVector;
        (Fault, FaultQueue) = (VirtioFault.None, -1);
        isr = 0;
        Function.SetIntx(false);
        common.Reset();
        ShowCommon();
    }
}
