using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Vmm.Grpc.Wire;

namespace Vmm.Grpc.Serving;

/// <summary>What is judged by a request's headers alone.</summary>
internal static class Admission
{
    public const string ContentType = "application/grpc";

    /// <summary>What is spoken, as answers tell it.</summary>
    public const string Encodings = "identity," + Gzip.Name;

    const string Bearer = "Bearer ";

    /// <summary>Whether this is gRPC at all; if not, an HTTP status is set and the answer is complete.</summary>
    public static bool IsGrpc(HttpContext http)
    {
        if (http.Request.Method != HttpMethods.Post)
        {
            http.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
            http.Response.Headers.Allow = HttpMethods.Post;
            return false;
        }

        if (!IsGrpcContent(http.Request.ContentType, out _))
        {
            http.Response.StatusCode = StatusCodes.Status415UnsupportedMediaType;
            http.Response.Headers["accept-post"] = ContentType;
            return false;
        }

        return true;
    }

    /// <summary>A refusal that depends on the headers, or null.</summary>
    public static RpcException? Refuse(HttpContext http)
    {
        if (http.Features.Get<RequiredToken>() is { } required && !required.Admits(http.Request.Headers.Authorization))
        {
            return new RpcException(StatusCode.Unauthenticated, "this listener takes calls with the metadata 'authorization: Bearer <token>' only");
        }

        IsGrpcContent(http.Request.ContentType, out var subtype);
        if (subtype is not ("" or "+proto"))
        {
            return new RpcException(StatusCode.Unimplemented, $"messages of type '{ContentType}{subtype}' are not spoken");
        }

        string? encoding = http.Request.Headers.GrpcEncoding;
        if (encoding is null or "identity" or Gzip.Name)
        {
            return null;
        }

        http.Response.Headers.GrpcAcceptEncoding = Encodings;
        return new RpcException(StatusCode.Unimplemented, $"grpc-encoding '{RichStatus.Short(encoding)}' is not spoken");
    }

    /// <summary>Whether a list of encodings names one.</summary>
    public static bool Accepts(string? list, string encoding)
    {
        foreach (var part in list.AsSpan().Split(','))
        {
            if (list.AsSpan(part).Trim(' ').SequenceEqual(encoding))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The request target as it came: Request.Path is decoded and normalized, so two targets could mean one method.</summary>
    public static string Target(HttpContext http) => http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;

    static bool IsGrpcContent(string? type, out string subtype)
    {
        subtype = "";
        if (type == null || !type.StartsWith(ContentType, StringComparison.OrdinalIgnoreCase))
        {
            return false;
        }

        var end = type.IndexOf(';', StringComparison.Ordinal);
        subtype = (end < 0 ? type : type[..end])[ContentType.Length..].TrimEnd(' ').ToLowerInvariant();
        return subtype.Length == 0 || subtype[0] == '+';
    }

    /// <summary>Put on the connections of a listener that wants a token.</summary>
    internal sealed class RequiredToken(string token)
    {
        readonly byte[] expected = SHA256.HashData(Encoding.UTF8.GetBytes(token));

        /// <summary>Compares hashes, in constant time.</summary>
        public bool Admits(string? authorization)
            => authorization != null && authorization.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase)
                && CryptographicOperations.FixedTimeEquals(expected, SHA256.HashData(Encoding.UTF8.GetBytes(authorization[Bearer.Length..])));
    }
}
