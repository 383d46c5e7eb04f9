using System.Buffers.Binary;
using Vmm.Platform.Time;
using Vmm.Specs.Virtio;
using L = Vmm.Specs.Virtio.VirtioIommuLayout;

namespace Vmm.VirtioIommu;

/// <content>Requests as text, with QEMU's names.</content>
public sealed partial class ViommuDevice
{
    static void TraceRequest(IEventTrace trace, ReadOnlySpan<byte> asked)
    {
        switch (asked.Length)
        {
            case >= L.MapSize when asked[0] == (byte)VirtioIommuRequest.Map:
                trace.Write("virtio_iommu_map", $"domain={Word(asked, 4)} virt_start=0x{Quad(asked, 8):x} virt_end=0x{Quad(asked, 16):x} phys_start=0x{Quad(asked, 24):x} flags={Word(asked, 32)}");
                break;
            case >= L.UnmapSize when asked[0] == (byte)VirtioIommuRequest.Unmap:
                trace.Write("virtio_iommu_unmap", $"domain={Word(asked, 4)} virt_start=0x{Quad(asked, 8):x} virt_end=0x{Quad(asked, 16):x}");
                break;
            case >= L.AttachSize when asked[0] == (byte)VirtioIommuRequest.Attach:
                trace.Write("virtio_iommu_attach", $"domain={Word(asked, 4)} endpoint={Word(asked, 8)}");
                break;
        }
    }

    static uint Word(ReadOnlySpan<byte> asked, int at) => BinaryPrimitives.ReadUInt32LittleEndian(asked[at..]);

    static ulong Quad(ReadOnlySpan<byte> asked, int at) => BinaryPrimitives.ReadUInt64LittleEndian(asked[at..]);
}
