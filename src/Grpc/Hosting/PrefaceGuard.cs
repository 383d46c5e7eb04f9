using System.Buffers;
using Microsoft.AspNetCore.Connections;

namespace Vmm.Grpc.Hosting;

/// <summary>
/// Lets a connection through to HTTP/2 once it has sent the client's preface (RFC 9113 §3.4), which it must do within
/// seconds. HTTP/1 is told so, in HTTP/1; what speaks neither, TLS for instance, is closed.
/// </summary>
internal static class PrefaceGuard
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    static ReadOnlySpan<byte> Preface => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8;

    static ReadOnlySpan<byte> Refusal => "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 49\r\n\r\nThis listener speaks gRPC over HTTP/2, cleartext\n"u8;

    /// <summary>A step of a listener's connections.</summary>
    public static ConnectionDelegate Use(ConnectionDelegate next) => async connection =>
    {
        if (await IsHttp2Async(connection).ConfigureAwait(false))
        {
            await next(connection).ConfigureAwait(false);
        }
        else
        {
            await connection.Transport.Output.CompleteAsync().ConfigureAwait(false);
        }
    };

    static async Task<bool> IsHttp2Async(ConnectionContext connection)
    {
        var input = connection.Transport.Input;
        using var clock = CancellationTokenSource.CreateLinkedTokenSource(connection.ConnectionClosed);
        clock.CancelAfter(Patience);
        try
        {
            while (true)
            {
                var read = await input.ReadAsync(clock.Token).ConfigureAwait(false);
                var verdict = Judge(read.Buffer, out var isHttp1);
                if (verdict == true)
                {
                    input.AdvanceTo(read.Buffer.Start);
                    return true;
                }

                input.AdvanceTo(read.Buffer.Start, read.Buffer.End);
                if (verdict == false || read.IsCompleted)
                {
                    if (isHttp1)
                    {
                        connection.Transport.Output.Write(Refusal);
                        await connection.Transport.Output.FlushAsync(clock.Token).ConfigureAwait(false);
                    }

                    return false;
                }
            }
        }
        catch (Exception error) when (error is OperationCanceledException or IOException)
        {
            return false;
        }
    }

    /// <summary>Null while it may still become the preface.</summary>
    static bool? Judge(ReadOnlySequence<byte> buffer, out bool isHttp1)
    {
        Span<byte> start = stackalloc byte[Preface.Length];
        var length = (int)Math.Min(buffer.Length, start.Length);
        buffer.Slice(0, length).CopyTo(start);
        start = start[..length];
        isHttp1 = length > 0 && char.IsAsciiLetterUpper((char)start[0]);
        return !Preface.StartsWith(start) ? false : length == Preface.Length ? true : null;
    }
}
