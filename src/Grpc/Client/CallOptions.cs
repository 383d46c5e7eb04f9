namespace Vmm.Grpc.Client;

/// <summary>What a caller can set for one call.</summary>
public sealed record CallOptions
{
    /// <summary>Longest time the call may take, or null.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>Metadata to send.</summary>
    public Metadata Headers { get; init; } = [];

    /// <summary>Whether messages are sent compressed.</summary>
    public bool Compress { get; init; }
}
