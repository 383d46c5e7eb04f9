using System.Buffers.Binary;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>Get Features and Set Features (NVMe 1.4 §5.13, §5.21). Nothing is saved over a reset.</summary>
public sealed partial class NvmeController
{
    const ushort WarningTemperature = 343, CriticalTemperature = 373;
    const uint Saveable = 1u << 31;

    readonly uint[] features = new uint[16];
    readonly byte[] hostIdentifier = new byte[16];
    ushort overTemperature = WarningTemperature;
    ushort underTemperature;
    ulong timestamp;
    ulong timestampSetAt;
    bool timestampSet;

    uint QueueCounts => (uint)(options.IoQueues - 1) << 16 | (uint)(options.IoQueues - 1);

    void ResetFeatures()
    {
        for (byte id = 0; id < features.Length; id++)
        {
            features[id] = Default(id);
        }

        Array.Clear(hostIdentifier);
        (overTemperature, underTemperature) = (WarningTemperature, 0);
        (timestamp, timestampSetAt, timestampSet) = (0, clock.Now, false);
    }

    uint Default(byte id) => id switch
    {
        // No limit on the arbitration burst.
        NvmeFeature.Arbitration => 7,
        NvmeFeature.TemperatureThreshold => WarningTemperature,
        NvmeFeature.VolatileWriteCache => 1,
        NvmeFeature.NumberOfQueues => QueueCounts,
        _ => 0,
    };

    static bool IsFeature(byte id) => id is NvmeFeature.Arbitration or NvmeFeature.PowerManagement
        or NvmeFeature.TemperatureThreshold or NvmeFeature.ErrorRecovery or NvmeFeature.VolatileWriteCache
        or NvmeFeature.NumberOfQueues or NvmeFeature.InterruptCoalescing or NvmeFeature.InterruptVectorConfig
        or NvmeFeature.WriteAtomicity or NvmeFeature.AsyncEventConfig or NvmeFeature.Timestamp or NvmeFeature.HostIdentifier;

    NvmeStatus GetFeatures(in NvmeCommand command, SubmissionQueue queue, out uint result)
    {
        result = 0;
        var id = (byte)command.Cdw10;
        if (!IsFeature(id))
        {
            return Refuse(NvmeStatus.InvalidField);
        }

        if (id == NvmeFeature.ErrorRecovery && command.NSID != AllNamespaces && command.NSID != 0 && Find(command.NSID) == null)
        {
            return Refuse(NvmeStatus.InvalidNamespace);
        }

        switch (command.Cdw10 >> 8 & 7)
        {
            case 0:
                return GetCurrent(command, id, queue, out result);
            case 1 or 2:
                // Nothing can be saved, so the saved value is the default.
                result = id < features.Length ? Default(id) : 0;
                return NvmeStatus.Success;
            case 3:
                // Changeable.
                result = 4;
                return NvmeStatus.Success;
            default:
                return Refuse(NvmeStatus.InvalidField);
        }
    }

    NvmeStatus GetCurrent(in NvmeCommand command, byte id, SubmissionQueue queue, out uint result)
    {
        result = 0;
        switch (id)
        {
            case NvmeFeature.TemperatureThreshold:
                return SelectTemperature(command.Cdw11, forSet: false, out result);
            case NvmeFeature.InterruptVectorConfig:
                var vector = command.Cdw11 & 0xFFFF;
                if (vector >= (uint)VectorCount)
                {
                    return Refuse(NvmeStatus.InvalidField);
                }

                result = vector | (coalescingDisabled[vector] ? 1u << 16 : 0);
                return NvmeStatus.Success;
            case NvmeFeature.Timestamp:
                Span<byte> time = stackalloc byte[8];
                BinaryPrimitives.WriteUInt64LittleEndian(time, Timestamp());
                return ToGuest(command, ref queue.Data, time);
            case NvmeFeature.HostIdentifier:
                return ToGuest(command, ref queue.Data, hostIdentifier.AsSpan(0, HostIdentifierLength(command)));
            default:
                result = features[id];
                return NvmeStatus.Success;
        }
    }

    NvmeStatus SetFeatures(in NvmeCommand command, SubmissionQueue queue, out uint result)
    {
        result = 0;
        var id = (byte)command.Cdw10;
        if (!IsFeature(id))
        {
            return Refuse(NvmeStatus.InvalidField);
        }

        if ((command.Cdw10 & Saveable) != 0)
        {
            return Refuse(NvmeStatus.FeatureNotSaveable);
        }

        if (command.NSID != 0 && command.NSID != AllNamespaces && id != NvmeFeature.ErrorRecovery)
        {
            return Refuse(Find(command.NSID) == null ? NvmeStatus.InvalidNamespace : NvmeStatus.FeatureNotNamespaceSpecific);
        }

        var value = command.Cdw11;
        switch (id)
        {
            case NvmeFeature.PowerManagement when (value & 0x1F) != 0:
                return Refuse(NvmeStatus.InvalidField);
            case NvmeFeature.TemperatureThreshold:
                return SetTemperatureThreshold(value);
            case NvmeFeature.VolatileWriteCache:
                features[id] = value & 1;
                return (value & 1) == 0 ? FlushAll() : NvmeStatus.Success;
            case NvmeFeature.NumberOfQueues:
                result = QueueCounts;
                return CheckQueueRequest(value);
            case NvmeFeature.InterruptVectorConfig:
                return SetVector(value);
            case NvmeFeature.Timestamp:
                return SetTimestamp(command, queue);
            case NvmeFeature.HostIdentifier:
                return FromGuest(command, ref queue.Data, hostIdentifier.AsSpan(0, HostIdentifierLength(command)));
            default:
                features[id] = value;
                return NvmeStatus.Success;
        }
    }

    /// <summary>EXHID, bit 0: 16 bytes instead of 8.</summary>
    static int HostIdentifierLength(in NvmeCommand command) => (command.Cdw11 & 1) != 0 ? 16 : 8;

    NvmeStatus CheckQueueRequest(uint value)
    {
        if ((value & 0xFFFF) == 0xFFFF || value >> 16 == 0xFFFF)
        {
            return Refuse(NvmeStatus.InvalidField);
        }

        for (var i = 1; i < submissions.Length; i++)
        {
            if (submissions[i].Exists || completions[i].Exists)
            {
                return Refuse(NvmeStatus.CommandSequenceError);
            }
        }

        return NvmeStatus.Success;
    }

    NvmeStatus SetVector(uint value)
    {
        if ((value & 0xFFFF) >= (uint)VectorCount)
        {
            return Refuse(NvmeStatus.InvalidField);
        }

        coalescingDisabled[value & 0xFFFF] = (value >> 16 & 1) != 0;
        return NvmeStatus.Success;
    }

    /// <summary>Only the composite temperature (select 0, or 15: all) has thresholds, over (0) and under (1).</summary>
    NvmeStatus SelectTemperature(uint value, bool forSet, out uint threshold)
    {
        var (sensor, kind) = (value >> 16 & 0xF, value >> 20 & 3);
        threshold = kind == 0 ? overTemperature : underTemperature;
        return sensor == 0 && kind < 2 || forSet && sensor == 15 && kind < 2 ? NvmeStatus.Success : Refuse(NvmeStatus.InvalidField);
    }

    NvmeStatus SetTemperatureThreshold(uint value)
    {
        var status = SelectTemperature(value, forSet: true, out _);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        if ((value >> 20 & 3) == 0)
        {
            overTemperature = (ushort)value;
        }
        else
        {
            underTemperature = (ushort)value;
        }

        CheckTemperature();
        return NvmeStatus.Success;
    }

    NvmeStatus SetTimestamp(in NvmeCommand command, SubmissionQueue queue)
    {
        Span<byte> time = stackalloc byte[8];
        var status = FromGuest(command, ref queue.Data, time);
        if (status == NvmeStatus.Success)
        {
            timestamp = BinaryPrimitives.ReadUInt64LittleEndian(time) & 0xFFFF_FFFF_FFFF;
            (timestampSetAt, timestampSet) = (clock.Now, true);
        }

        return status;
    }

    /// <summary>Milliseconds (47:0), and in 51:49 whether they were set (1) or count from reset (0).</summary>
    ulong Timestamp()
    {
        var elapsed = clock.CyclesToNanoseconds(clock.Now - timestampSetAt) / 1_000_000;
        return timestamp + elapsed & 0xFFFF_FFFF_FFFF | (timestampSet ? 1ul << 49 : 0);
    }
}
