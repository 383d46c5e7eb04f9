using System.Buffers.Binary;
using Vmm.Platform.Dma;
using Vmm.Specs.Virtio;
using Vmm.VirtioIommu;

namespace Vmm.Unit.VirtioIommu;

/// <summary>The device without its transport: requests as bytes in, status and translations out.</summary>
sealed class ViommuBench : IFaultSink
{
    public static readonly Bdf Disk = new(0, 3, 0), Nic = new(0, 4, 0), Other = new(1, 0, 1);

    public const VirtioIommuMapFlags RW = VirtioIommuMapFlags.Read | VirtioIommuMapFlags.Write;

    public ViommuBench(VirtioIommuOptions? options = null, VirtioIommuFeatures? negotiated = null)
    {
        Options = options ?? new() { Bypass = false };
        Options.Validate();
        Domains = new(Options);
        Requests = new(Options, Domains) { Negotiated = negotiated ?? Options.Features };
        Translator = new(Domains, this) { Bypass = Options.Bypass };
        foreach (var device in (Bdf[])[Disk, Nic, Other])
        {
            Domains.AddEndpoint(device);
        }
    }

    public VirtioIommuOptions Options { get; }

    public DomainTable Domains { get; }

    public RequestProcessor Requests { get; }

    public EndpointTranslator Translator { get; }

    public List<FaultReport> Faults { get; } = [];

    void IFaultSink.Report(in FaultReport fault) => Faults.Add(fault);

    // Requests: the readable parts, to be changed by a test before they are sent.
    public static byte[] AttachBytes(uint domain, uint endpoint, uint flags = 0, uint reserved = 0) =>
        Bytes(VirtioIommuRequest.Attach, 20, (4, domain, 4), (8, endpoint, 4), (12, flags, 4), (16, reserved, 4));

    public static byte[] DetachBytes(uint domain, uint endpoint, ulong reserved = 0) =>
        Bytes(VirtioIommuRequest.Detach, 20, (4, domain, 4), (8, endpoint, 4), (12, reserved, 8));

    public static byte[] MapBytes(uint domain, ulong start, ulong end, ulong physical, uint flags) =>
        Bytes(VirtioIommuRequest.Map, 36, (4, domain, 4), (8, start, 8), (16, end, 8), (24, physical, 8), (32, flags, 4));

    public static byte[] UnmapBytes(uint domain, ulong start, ulong end, uint reserved = 0) =>
        Bytes(VirtioIommuRequest.Unmap, 28, (4, domain, 4), (8, start, 8), (16, end, 8), (24, reserved, 4));

    public static byte[] ProbeBytes(uint endpoint) => Bytes(VirtioIommuRequest.Probe, 72, (4, endpoint, 4));

    static byte[] Bytes(VirtioIommuRequest type, int size, params ReadOnlySpan<(int At, ulong Value, int Size)> fields)
    {
        var bytes = new byte[size];
        bytes[0] = (byte)type;
        Span<byte> word = stackalloc byte[8];
        foreach (var (at, value, length) in fields)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(word, value);
            word[..length].CopyTo(bytes.AsSpan(at));
        }

        return bytes;
    }

    /// <summary>Sends a request with room for the tail alone; null when it came back unwritten.</summary>
    public VirtioIommuStatus? Send(byte[] request)
    {
        Span<byte> tail = [0xEE, 0xEE, 0xEE, 0xEE];
        var used = Requests.Process(request, tail);
        if (used == 0)
        {
            return tail.ContainsAnyExcept((byte)0xEE) ? throw new InvalidOperationException("an unparsed request was written") : null;
        }

        return used == 4 && !tail[1..].ContainsAnyExcept((byte)0) ? (VirtioIommuStatus)tail[0] : throw new InvalidOperationException($"{used} bytes used");
    }

    public VirtioIommuStatus? Attach(uint domain, Bdf endpoint, uint flags = 0) => Send(AttachBytes(domain, endpoint.Value, flags));

    public VirtioIommuStatus? Detach(uint domain, Bdf endpoint) => Send(DetachBytes(domain, endpoint.Value));

    public VirtioIommuStatus? Map(uint domain, ulong start, ulong end, ulong physical = 0, VirtioIommuMapFlags flags = RW) =>
        Send(MapBytes(domain, start, end, physical, (uint)flags));

    public VirtioIommuStatus? Unmap(uint domain, ulong start, ulong end) => Send(UnmapBytes(domain, start, end));

    /// <summary>Where an access leads; null when it is blocked.</summary>
    public ulong? Translate(ulong address, DmaAccess access = DmaAccess.Read, Bdf? device = null) =>
        Translator.TryTranslate(new(device ?? Disk, new(address), access), out var window) ? window.Address.Value : null;

    /// <summary>Mappings of a domain as (start, end).</summary>
    public (ulong, ulong)[] Mappings(uint domain) =>
        Domains.FindDomain(domain) is { } found ? [.. Domains.Pool.All(found.Root).Select(m => (m.Start, m.End))] : [];
}
