namespace Vmm.Grpc;

/// <summary>What a server takes at most. Time spans are of the host's clock.</summary>
public sealed class GrpcLimits
{
    /// <summary>4 MiB, what clients take by default.</summary>
    public const int DefaultMaxMessage = 4 << 20;

    /// <summary>Largest message taken, in bytes, after decompression too.</summary>
    public int MaxReceiveMessage { get; init; } = DefaultMaxMessage;

    /// <summary>Fields of a message taken, those of messages inside it and elements of packed fields included.</summary>
    public int MaxReceiveFields { get; init; } = 100_000;

    /// <summary>Largest message sent, in bytes.</summary>
    public int MaxSendMessage { get; init; } = DefaultMaxMessage;

    /// <summary>Bytes of unfinished messages in memory, all calls together.</summary>
    public long MaxUnfinished { get; init; } = 64 << 20;

    /// <summary>Calls at one time, all connections together.</summary>
    public int MaxCalls { get; init; } = 16384;

    /// <summary>Calls at one time on one connection.</summary>
    public int MaxCallsPerConnection { get; init; } = 1000;

    /// <summary>Connections at one time.</summary>
    public int MaxConnections { get; init; } = 8192;

    /// <summary>From the first byte of a message to its last.</summary>
    public TimeSpan MessageTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How long a stream may keep a message of ours waiting before the call is cut.</summary>
    public TimeSpan SendTimeout { get; init; } = TimeSpan.FromSeconds(120);

    /// <summary>Silence of a connection before the server sends a PING.</summary>
    public TimeSpan PingDelay { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long the answer to that PING may take.</summary>
    public TimeSpan PingTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>How long running calls may go on when the server stops.</summary>
    public TimeSpan DrainGrace { get; init; } = TimeSpan.FromSeconds(5);
}
