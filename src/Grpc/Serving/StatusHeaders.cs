using Microsoft.AspNetCore.Http;
using Vmm.Grpc.Wire;

namespace Vmm.Grpc.Serving;

/// <summary>A status as header or trailer fields.</summary>
internal static class StatusHeaders
{
    public static void Set(IHeaderDictionary fields, Status status, IEnumerable<Metadata.Entry> metadata)
    {
        fields.GrpcStatus = Codes[(int)status.Code];
        if (status.Detail.Length > 0)
        {
            fields.GrpcMessage = PercentEncoding.Encode(RichStatus.Short(status.Detail));
        }

        foreach (var entry in metadata)
        {
            fields.Append(entry.Key, MetadataHeaders.Send(entry));
        }
    }

    static readonly string[] Codes = [.. Enumerable.Range(0, 17).Select(c => c.ToString(System.Globalization.CultureInfo.InvariantCulture))];
}
