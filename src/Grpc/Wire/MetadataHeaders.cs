using System.Buffers.Text;

namespace Vmm.Grpc.Wire;

/// <summary>
/// Metadata as headers. Bytes are base64, taken with and without padding and sent without; several values of one
/// <c>-bin</c> key may come in one header, split at commas.
/// </summary>
internal static class MetadataHeaders
{
    /// <summary>Whether a header belongs to the protocol rather than to the caller.</summary>
    public static bool IsReserved(string name)
        => name.StartsWith(':') || (name.StartsWith("grpc-", StringComparison.Ordinal) && name != Metadata.StatusDetailsKey)
            || name is "content-type" or "te" or "host" or "content-length" or "transfer-encoding" or "connection";

    /// <summary>Adds a header. Fails with RpcException for bytes that are not base64.</summary>
    public static void Receive(Metadata metadata, string name, string? value)
    {
        name = name.ToLowerInvariant();
        if (IsReserved(name))
        {
            return;
        }

        if (!Metadata.IsBinary(name))
        {
            metadata.AddReceived(new Metadata.Entry(name, value ?? "", null));
            return;
        }

        foreach (var part in (value ?? "").Split(','))
        {
            metadata.AddReceived(new Metadata.Entry(name, null, Decode(name, part.Trim(' '))));
        }
    }

    /// <summary>The text to send for an entry.</summary>
    public static string Send(Metadata.Entry entry) => entry.Value ?? Convert.ToBase64String(entry.ValueBytes!).TrimEnd('=');

    static byte[] Decode(string name, string text)
    {
        var padded = (text.Length % 4) switch { 2 => text + "==", 3 => text + "=", _ => text };
        if (!Base64.IsValid(padded))
        {
            throw new RpcException(StatusCode.InvalidArgument, $"metadata '{RichStatus.Short(name)}' is not base64");
        }

        return Convert.FromBase64String(padded);
    }
}
