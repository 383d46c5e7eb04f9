using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Vmm.Grpc.Hosting;

/// <summary>Kestrel's own limits, set for streams that may be silent for hours.</summary>
internal static class KestrelLimits
{
    /// <summary>
    /// A minimum rate would end the whole connection of a silent stream, a largest body a long stream of messages;
    /// messages have their own limits instead.
    /// </summary>
    public static void Apply(KestrelServerOptions kestrel, GrpcLimits limits)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MinRequestBodyDataRate = null;
        kestrel.Limits.MinResponseDataRate = null;
        kestrel.Limits.MaxRequestBodySize = null;
        kestrel.Limits.MaxConcurrentConnections = limits.MaxConnections;
        kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
        kestrel.Limits.KeepAliveTimeout = TimeSpan.FromMinutes(10);
        kestrel.Limits.Http2.MaxStreamsPerConnection = limits.MaxCallsPerConnection;
        kestrel.Limits.Http2.KeepAlivePingDelay = limits.PingDelay;
        kestrel.Limits.Http2.KeepAlivePingTimeout = limits.PingTimeout;
        kestrel.Limits.Http2.InitialConnectionWindowSize = 1 << 20;
        kestrel.Limits.Http2.InitialStreamWindowSize = 512 << 10;
    }
}
