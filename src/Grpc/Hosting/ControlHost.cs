using System.Net;
using System.Text;
using Google.Protobuf.Reflection;
using Google.Rpc;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Vmm.Grpc.Serving;
using Vmm.Grpc.Services;

namespace Vmm.Grpc.Hosting;

/// <summary>
/// Kestrel with two kinds of listener: HTTP/2 in cleartext with prior knowledge for gRPC, and HTTP/1.1 for pages. They
/// never share a port: cleartext has no negotiation. Health and reflection are served beside the services given.
/// </summary>
public sealed class ControlHost : IAsyncDisposable
{
    readonly ControlHostOptions options;
    readonly WebApplication app;
    readonly GrpcServer server;
    readonly UnixSocketFile? socket;
    int stopped;

    ControlHost(ControlHostOptions options, UnixSocketFile? socket)
    {
        this.options = options;
        this.socket = socket;
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        options.Logging?.Invoke(builder.Logging);
        builder.Services.Configure<HostOptions>(h => h.ShutdownTimeout = TimeSpan.FromSeconds(5));
        builder.Services.Configure<SocketTransportOptions>(t => t.CreateBoundListenSocket = Listen);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(Configure);
        app = builder.Build();
        server = new GrpcServer(Tables(), options.Limits, options.Observer, app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Vmm.Grpc"));
        app.Run(HandleAsync);
    }

    /// <summary>What health checks tell.</summary>
    public HealthService Health { get; } = new();

    /// <summary>Calls running now.</summary>
    public int ActiveCalls => server.Active.Count;

    /// <summary>Port of the TCP listener, once started; 0 without one.</summary>
    public int TcpPort { get; private set; }

    /// <summary>Port of the HTTP/1.1 listener, once started; 0 without one.</summary>
    public int HttpPort { get; private set; }

    /// <summary>
    /// Binds and starts. Fails with ArgumentException for options that do not go together, and with IOException where
    /// an address is taken or a socket file is not ours.
    /// </summary>
    public static async Task<ControlHost> StartAsync(ControlHostOptions options, CancellationToken cancellation = default)
    {
        Check(options);
        var socket = options.SocketPath is { } path ? UnixSocketFile.Claim(path) : null;
        ControlHost? host = null;
        try
        {
            host = new ControlHost(options, socket);
            await host.app.StartAsync(cancellation).ConfigureAwait(false);
            host.ReadPorts();
            return host;
        }
        catch
        {
            if (host != null)
            {
                await host.DisposeAsync().ConfigureAwait(false);
            }

            socket?.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Health tells NOT_SERVING, new calls are UNAVAILABLE, running ones have <see cref="GrpcLimits.DrainGrace"/>, then
    /// are cut with UNAVAILABLE; then connections get GOAWAY and close.
    /// </summary>
    public async Task StopAsync()
    {
        if (Interlocked.Exchange(ref stopped, 1) != 0)
        {
            return;
        }

        Health.Stop();
        await server.Active.DrainAsync(options.Limits.DrainGrace).ConfigureAwait(false);
        await app.StopAsync().ConfigureAwait(false);
        socket?.Dispose();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        await app.DisposeAsync().ConfigureAwait(false);
        server.Dispose();
    }

    static void Check(ControlHostOptions options)
    {
        if (options.SocketPath == null && options.Tcp == null)
        {
            throw new ArgumentException("nothing to listen on: no Unix socket and no TCP address");
        }

        if (options.Tcp != null && string.IsNullOrEmpty(options.Token))
        {
            throw new ArgumentException("a TCP listener needs a token");
        }

        foreach (var address in new[] { options.Tcp, options.Http })
        {
            if (address != null && !IPAddress.IsLoopback(address.Address))
            {
                throw new ArgumentException($"{address.Address} is not a loopback address");
            }
        }
    }

    IEnumerable<MethodTable> Tables()
    {
        List<MethodTable> tables = [.. options.Services, Health.Methods];
        if (options.Interop)
        {
            tables.Add(InteropService.Methods);
        }

        foreach (var table in tables)
        {
            Health.Set(table.Service.FullName, true);
        }

        FileDescriptor[] details = [StatusReflection.Descriptor, ErrorDetailsReflection.Descriptor];
        tables.AddRange(new ReflectionService(tables.Select(t => t.Service), details).Methods);
        return tables;
    }

    void Configure(KestrelServerOptions kestrel)
    {
        KestrelLimits.Apply(kestrel, options.Limits);
        if (options.SocketPath is { } path)
        {
            kestrel.ListenUnixSocket(path, l =>
            {
                l.Protocols = HttpProtocols.Http2;
                l.Use(PrefaceGuard.Use);
            });
        }

        if (options.Tcp is { } tcp)
        {
            var token = new Admission.RequiredToken(options.Token!);
            kestrel.Listen(tcp, l =>
            {
                l.Protocols = HttpProtocols.Http2;
                l.Use(PrefaceGuard.Use);
                l.Use(next => connection =>
                {
                    connection.Features.Set(token);
                    return next(connection);
                });
            });
        }

        if (options.Http is { } http)
        {
            kestrel.Listen(http, l => l.Protocols = HttpProtocols.Http1);
        }
    }

    System.Net.Sockets.Socket Listen(EndPoint address)
        => socket != null && address is System.Net.Sockets.UnixDomainSocketEndPoint ? socket.Bind() : SocketTransportOptions.CreateDefaultBoundListenSocket(address);

    /// <summary>A listener speaks one protocol, so the protocol tells the listener.</summary>
    Task HandleAsync(HttpContext http) => HttpProtocol.IsHttp2(http.Request.Protocol) ? server.HandleAsync(http) : PageAsync(http);

    async Task PageAsync(HttpContext http)
    {
        if (http.Request.Method != HttpMethods.Get && http.Request.Method != HttpMethods.Head)
        {
            http.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
            http.Response.Headers.Allow = "GET, HEAD";
            return;
        }

        var target = Admission.Target(http).Split('?', 2)[0];
        var page = target == "/healthz" ? Healthz() : options.Pages.TryGetValue(target, out var writer) ? await writer(http.RequestAborted).ConfigureAwait(false) : NotFound;
        http.Response.StatusCode = page.StatusCode;
        http.Response.ContentType = page.ContentType;
        http.Response.ContentLength = page.Body.Length;
        http.Response.Headers.CacheControl = "no-store";
        http.Response.Headers.XContentTypeOptions = "nosniff";
        if (http.Request.Method == HttpMethods.Get)
        {
            await http.Response.BodyWriter.WriteAsync(page.Body, http.RequestAborted).ConfigureAwait(false);
        }
    }

    Page Healthz() => Health.IsServing ? Text("SERVING\n", 200) : Text("NOT_SERVING\n", 503);

    static Page NotFound => Text("no such page\n", 404);

    static Page Text(string text, int status) => new("text/plain; charset=utf-8", Encoding.UTF8.GetBytes(text), status);

    void ReadPorts()
    {
        var addresses = app.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses
            .Where(a => !a.Contains("unix:", StringComparison.Ordinal)).Select(a => new Uri(a).Port).ToArray();
        var next = 0;
        TcpPort = options.Tcp != null ? addresses[next++] : 0;
        HttpPort = options.Http != null ? addresses[next] : 0;
    }
}
