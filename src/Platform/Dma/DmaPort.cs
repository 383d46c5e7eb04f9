namespace Vmm.Platform.Dma;

/// <summary>What an address means to one device: its only way to memory and to interrupts.</summary>
public sealed class DmaPort
{
}
