using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Vmm.Grpc.Wire;

namespace Vmm.Grpc;

/// <summary>
/// Errors with details: a google.rpc.Status in the trailer <c>grpc-status-details-bin</c>. Clients keep small header
/// tables (8 KiB is usual), so what would not fit is cut, from the end, and says so.
/// </summary>
public static class RichStatus
{
    /// <summary>Most bytes of a serialized google.rpc.Status.</summary>
    public const int MaxBytes = 4096;

    /// <summary>Most characters of an error's words.</summary>
    public const int MaxMessage = 1024;

    /// <summary>Most bytes that they take as a header, where a character may take twelve.</summary>
    public const int MaxMessageBytes = 2048;

    /// <summary>An error with details, messages of google.rpc such as ErrorInfo, BadRequest, ResourceInfo.</summary>
    public static RpcException Error(StatusCode code, string message, params IEnumerable<IMessage> details)
    {
        message = Short(message);
        var status = new Google.Rpc.Status { Code = (int)code, Message = message };
        foreach (var detail in details)
        {
            AddFitting(status, detail);
        }

        var trailers = new Metadata();
        if (status.Details.Count > 0)
        {
            trailers.Add(Metadata.StatusDetailsKey, status.ToByteArray());
        }

        return new RpcException(new Status(code, message), trailers);
    }

    /// <summary>The details of an error, or null if it has none that can be read.</summary>
    public static Google.Rpc.Status? Of(RpcException error)
    {
        try
        {
            return error.Trailers.GetValueBytes(Metadata.StatusDetailsKey) is { } bytes ? Google.Rpc.Status.Parser.ParseFrom(bytes) : null;
        }
        catch (InvalidProtocolBufferException)
        {
            return null;
        }
    }

    /// <summary>The words, or their beginning and dots.</summary>
    internal static string Short(string message)
    {
        if (message.Length <= MaxMessage && message.Length <= MaxMessageBytes / 12)
        {
            return message;
        }

        // Kept: how much is sure to leave room for the dots.
        int length = 0, bytes = 0, kept = 0;
        foreach (var rune in message.EnumerateRunes())
        {
            bytes += PercentEncoding.IsPlain(rune) ? 1 : 3 * rune.Utf8SequenceLength;
            length += rune.Utf16SequenceLength;
            if (length > MaxMessage || bytes > MaxMessageBytes)
            {
                return string.Concat(message.AsSpan(0, kept), "...");
            }

            kept = length <= MaxMessage - 3 && bytes <= MaxMessageBytes - 3 ? length : kept;
        }

        return message;
    }

    static void AddFitting(Google.Rpc.Status status, IMessage detail)
    {
        status.Details.Add(Any.Pack(detail));
        if (status.CalculateSize() <= MaxBytes)
        {
            return;
        }

        status.Details.RemoveAt(status.Details.Count - 1);
        if (detail is BadRequest { FieldViolations.Count: > 1 } bad)
        {
            AddFitting(status, Half(bad));
        }
    }

    static BadRequest Half(BadRequest bad)
    {
        var kept = bad.FieldViolations.Count / 2;
        var half = new BadRequest { FieldViolations = { bad.FieldViolations.Take(kept) } };
        half.FieldViolations[kept - 1] = new BadRequest.Types.FieldViolation { Description = "more violations than fit into an error" };
        return half;
    }
}
