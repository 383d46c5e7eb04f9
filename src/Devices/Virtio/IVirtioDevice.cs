using Vmm.Platform.Registers;
using Vmm.Platform.Snapshots;

namespace Vmm.Virtio;

/// <summary>What a virtio device says of itself.</summary>
/// <param name="Name">Instance name in reports and snapshots ("virtio-blk0").</param>
/// <param name="DeviceId">Device type (virtio 1.2 §5).</param>
/// <param name="ClassCode">PCI class, subclass and programming interface as 0xCCSSPP.</param>
/// <param name="Features">Features of the device type: bits 0 to 23 and 50 to 63. The transport adds the others.</param>
/// <param name="QueueSizes">Most entries of each queue: powers of two up to 32768.</param>
public sealed record VirtioIdentity(string Name, ushort DeviceId, uint ClassCode, ulong Features, IReadOnlyList<int> QueueSizes);

/// <summary>
/// The device behind a <see cref="VirtioPci"/>. It creates the transport in its constructor, takes buffers from the
/// transport's queues when told to, and never sees registers, rings or descriptors.
/// </summary>
public interface IVirtioDevice
{
    /// <summary>The device-specific configuration (§2.5); its masks say what the driver can write.</summary>
    RegisterFile Config { get; }

    /// <summary>The driver wrote a register of <see cref="Config"/>.</summary>
    void ConfigWritten(int register)
    {
    }

    /// <summary>
    /// The driver settles on a subset of the offered features (§2.2.2); takes effect when true. Called once between resets.
    /// </summary>
    bool Accept(ulong features) => true;

    /// <summary>
    /// The driver notified the queue, or the last call asked to be called again. Takes a bounded number of buffers; true
    /// when some may be left, and then the call is repeated a little later in virtual time.
    /// </summary>
    bool Process(Virtqueue queue);

    /// <summary>The driver resets one queue (§2.6.1): what is in flight there is forgotten.</summary>
    void QueueReset(Virtqueue queue);

    /// <summary>Device or function reset: everything in flight is forgotten, <see cref="Config"/> starts anew.</summary>
    void Reset();

    /// <summary>Writes the device's state; queues are saved already.</summary>
    void Save(SnapshotWriter writer);

    /// <summary>Reads back what <see cref="Save"/> wrote; queues are loaded already.</summary>
    /// <exception cref="SnapshotException">The state is not possible.</exception>
    void Load(SnapshotReader reader);
}
