using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using Vmm.Grpc.Wire;

namespace Vmm.Grpc.Client;

/// <summary>The status of an answer, wherever it stands (PROTOCOL-HTTP2, http-grpc-status-mapping).</summary>
internal static class ResponseStatus
{
    const string StatusKey = "grpc-status";

    /// <summary>Whether messages may follow: it is gRPC, and the status does not stand in the headers already.</summary>
    public static bool HasBody(HttpResponseMessage response) => IsGrpc(response) && !response.Headers.Contains(StatusKey);

    public static Metadata TrailersOf(HttpResponseMessage response)
        => MetadataOf(response.Headers.Contains(StatusKey) ? response.Headers : response.TrailingHeaders);

    public static Metadata MetadataOf(HttpResponseHeaders headers)
    {
        var metadata = new Metadata();
        foreach (var (name, values) in headers.NonValidated)
        {
            foreach (var value in values)
            {
                MetadataHeaders.Receive(metadata, name, value);
            }
        }

        return metadata;
    }

    /// <summary>Throws unless the status is success.</summary>
    public static void Check(HttpResponseMessage response, Metadata trailers)
    {
        if (!IsGrpc(response))
        {
            throw new RpcException(FromHttp(response.StatusCode), $"the server answered with HTTP status {(int)response.StatusCode}");
        }

        var headers = response.Headers.Contains(StatusKey) ? response.Headers : response.TrailingHeaders;
        if (!headers.NonValidated.TryGetValues(StatusKey, out var values) || !int.TryParse(values.ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out var code))
        {
            throw new RpcException(StatusCode.Internal, "the answer has no status");
        }

        if (code != 0)
        {
            var message = headers.NonValidated.TryGetValues("grpc-message", out var words) ? PercentEncoding.Decode(words.ToString()) : "";
            throw new RpcException(new Status(code <= 16 ? (StatusCode)code : StatusCode.Unknown, message), trailers);
        }
    }

    /// <summary>A connection or a stream that failed.</summary>
    public static RpcException Explain(Exception error)
    {
        var protocol = error as HttpProtocolException ?? error.InnerException as HttpProtocolException;
        var code = protocol?.ErrorCode switch
        {
            null or 0 or 7 => StatusCode.Unavailable,
            8 => StatusCode.Cancelled,
            11 => StatusCode.ResourceExhausted,
            _ => StatusCode.Internal,
        };
        return new RpcException(new Status(code, error.Message), inner: error);
    }

    static bool IsGrpc(HttpResponseMessage response)
        => response.StatusCode == HttpStatusCode.OK
            && response.Content.Headers.NonValidated.TryGetValues("content-type", out var type)
            && type.ToString().StartsWith("application/grpc", StringComparison.Ordinal);

    static StatusCode FromHttp(HttpStatusCode status) => (int)status switch
    {
        400 => StatusCode.Internal,
        401 => StatusCode.Unauthenticated,
        403 => StatusCode.PermissionDenied,
        404 => StatusCode.Unimplemented,
        429 or 502 or 503 or 504 => StatusCode.Unavailable,
        _ => StatusCode.Unknown,
    };
}
