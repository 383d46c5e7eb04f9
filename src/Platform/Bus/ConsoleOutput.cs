namespace Vmm.Platform.Bus;

/// <summary>Takes the bytes that a character device sends.</summary>
public interface IConsoleOutput
{
    /// <summary>Takes bytes in order; never blocks and never throws.</summary>
    void Write(ReadOnlySpan<byte> data);
}
