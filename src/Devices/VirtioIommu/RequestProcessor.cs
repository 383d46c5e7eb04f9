using System.Buffers.Binary;
using Vmm.Specs.Virtio;
using L = Vmm.Specs.Virtio.VirtioIommuLayout;

namespace Vmm.VirtioIommu;

/// <summary>
/// Requests as bytes (virtio 1.2 §5.13.6). A request that cannot be parsed, because its type is not known or not negotiated,
/// because it is too short for its type or because there is no room for the tail, is returned unwritten.
/// </summary>
/// <param name="options">What the device offers.</param>
/// <param name="domains">What requests act on.</param>
sealed class RequestProcessor(VirtioIommuOptions options, DomainTable domains)
{
    readonly ulong[] counts = new ulong[6 * 16];

    /// <summary>Longest device-readable part of a request.</summary>
    public const int LongestRequest = L.ProbeRequestSize;

    /// <summary>Features that the driver accepted.</summary>
    public VirtioIommuFeatures Negotiated { get; set; }

    /// <summary>Longest device-writable part of a request.</summary>
    public int LongestReply => options.ProbeSize + L.TailSize;

    /// <summary>Requests returned unwritten.</summary>
    public ulong Unparsed { get; private set; }

    /// <summary>Requests of a type that were answered with a status.</summary>
    public ulong Count(VirtioIommuRequest type, VirtioIommuStatus status) => counts[(int)type * 16 + (int)status];

    /// <summary>
    /// Carries out one request.
    /// </summary>
    /// <param name="request">The device-readable part, or as much of it as <see cref="LongestRequest"/>.</param>
    /// <param name="reply">The device-writable part, or as much of it as <see cref="LongestReply"/>.</param>
    /// <returns>Bytes of <paramref name="reply"/> that are to be written, from its start; 0 for none.</returns>
    public int Process(ReadOnlySpan<byte> request, Span<byte> reply)
    {
        var type = request.Length >= L.HeadSize ? (VirtioIommuRequest)request[0] : 0;
        var size = SizeOf(type);
        if (size == 0 || request.Length < size || reply.Length < L.TailSize)
        {
            Unparsed++;
            return 0;
        }

        var length = type == VirtioIommuRequest.Probe ? Math.Min(reply.Length, LongestReply) : L.TailSize;
        reply = reply[..length];
        reply.Clear();
        var status = Dispatch(type, request, reply[..^L.TailSize]);
        reply[^L.TailSize] = (byte)status;
        counts[(int)type * 16 + (int)status]++;
        return length;
    }

    /// <summary>Device-readable bytes of a request of a type that is known and negotiated; 0 for any other.</summary>
    int SizeOf(VirtioIommuRequest type) => type switch
    {
        VirtioIommuRequest.Attach => L.AttachSize,
        VirtioIommuRequest.Detach => L.DetachSize,
        VirtioIommuRequest.Map when Has(VirtioIommuFeatures.MapUnmap) => L.MapSize,
        VirtioIommuRequest.Unmap when Has(VirtioIommuFeatures.MapUnmap) => L.UnmapSize,
        VirtioIommuRequest.Probe when Has(VirtioIommuFeatures.Probe) => L.ProbeRequestSize,
        _ => 0,
    };

    VirtioIommuStatus Dispatch(VirtioIommuRequest type, ReadOnlySpan<byte> request, Span<byte> properties) => type switch
    {
        VirtioIommuRequest.Attach => Attach(request),
        VirtioIommuRequest.Detach => domains.Detach(U32(request, 4), U32(request, 8)),
        VirtioIommuRequest.Map => Map(request),
        VirtioIommuRequest.Unmap => Unmap(request),
        _ => Probe(U32(request, 4), properties),
    };

    VirtioIommuStatus Attach(ReadOnlySpan<byte> request)
    {
        var flags = U32(request, 12);
        var known = Has(VirtioIommuFeatures.BypassConfig) ? L.AttachBypass : 0;
        return (flags & ~known) != 0 || U32(request, 16) != 0
            ? VirtioIommuStatus.Inval
            : domains.Attach(U32(request, 4), U32(request, 8), flags != 0);
    }

    VirtioIommuStatus Map(ReadOnlySpan<byte> request)
    {
        var mapping = new Mapping(U64(request, 8), U64(request, 16), U64(request, 24), (VirtioIommuMapFlags)U32(request, 32));
        var known = VirtioIommuMapFlags.Read | VirtioIommuMapFlags.Write | (Has(VirtioIommuFeatures.Mmio) ? VirtioIommuMapFlags.Mmio : 0);
        return domains.Map(U32(request, 4), mapping, known);
    }

    VirtioIommuStatus Unmap(ReadOnlySpan<byte> request) =>
        U32(request, 24) != 0 ? VirtioIommuStatus.Inval : domains.Unmap(U32(request, 4), U64(request, 8), U64(request, 16));

    VirtioIommuStatus Probe(uint endpoint, Span<byte> properties)
    {
        if (domains.FindEndpoint(endpoint) == null)
        {
            return VirtioIommuStatus.NoEnt;
        }

        if (properties.Length < options.ProbeSize)
        {
            return VirtioIommuStatus.Inval;
        }

        foreach (var region in options.Reserved)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(properties, L.ReservedMemory);
            BinaryPrimitives.WriteUInt16LittleEndian(properties[2..], L.ReservedMemorySize);
            properties[4] = (byte)region.Kind;
            BinaryPrimitives.WriteUInt64LittleEndian(properties[8..], region.Start);
            BinaryPrimitives.WriteUInt64LittleEndian(properties[16..], region.End);
            properties = properties[(L.PropertyHeadSize + L.ReservedMemorySize)..];
        }

        return VirtioIommuStatus.Ok;
    }

    bool Has(VirtioIommuFeatures feature) => (Negotiated & feature) != 0;

    static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    static ulong U64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]);
}
