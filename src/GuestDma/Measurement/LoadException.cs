namespace Vmm.GuestDma.Measurement;

/// <summary>A load that the measured machine cannot carry: its buffers do not fit into memory, or cannot be mapped.</summary>
public sealed class LoadException(string message) : Exception(message);
