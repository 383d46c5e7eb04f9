namespace Vmm.Virtio;

/// <summary>A buffer that the device took from a queue and has not used yet: a ticket for <see cref="Virtqueue"/>.</summary>
/// <param name="Id">Head index (split) or buffer id (packed).</param>
/// <param name="First">Where the queue keeps the first of its descriptors.</param>
/// <param name="Count">Descriptors it takes in the ring.</param>
public readonly record struct VirtioBuffer(ushort Id, ushort First, ushort Count);
