namespace Vmm.VirtioBlk;

/// <summary>What a block device did since it was built. Not part of a snapshot.</summary>
public struct BlockCounters
{
    /// <summary>Read requests that succeeded.</summary>
    public ulong Reads;

    /// <summary>Bytes read from the disk.</summary>
    public ulong BytesRead;

    /// <summary>Write requests that succeeded.</summary>
    public ulong Writes;

    /// <summary>Bytes written to the disk.</summary>
    public ulong BytesWritten;

    /// <summary>Flush requests that succeeded.</summary>
    public ulong Flushes;

    /// <summary>Requests that ended with an error status.</summary>
    public ulong Errors;
}
