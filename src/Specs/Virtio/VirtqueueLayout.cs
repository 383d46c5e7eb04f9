using System.Runtime.InteropServices;

namespace Vmm.Specs.Virtio;

/// <summary>struct virtq_desc of a split queue, also of its indirect tables (virtio 1.2 §2.7.5).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct SplitDescriptor
{
    /// <summary>Bytes.</summary>
    public const int Size = 16;

    /// <summary>addr.</summary>
    public ulong Address;

    /// <summary>len.</summary>
    public uint Length;

    /// <summary>flags: <see cref="DescriptorFlags"/>.</summary>
    public ushort Flags;

    /// <summary>next: index, meaningful with <see cref="DescriptorFlags.Next"/>.</summary>
    public ushort Next;
}

/// <summary>struct pvirtq_desc of a packed queue, also of its indirect tables (virtio 1.2 §2.8.13).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct PackedDescriptor
{
    /// <summary>Bytes.</summary>
    public const int Size = 16;

    /// <summary>addr.</summary>
    public ulong Address;

    /// <summary>len.</summary>
    public uint Length;

    /// <summary>id: buffer id.</summary>
    public ushort Id;

    /// <summary>flags: <see cref="DescriptorFlags"/>.</summary>
    public ushort Flags;
}

/// <summary>Descriptor flags of both formats.</summary>
public static class DescriptorFlags
{
    /// <summary>Another descriptor follows.</summary>
    public const ushort Next = 1;

    /// <summary>The device writes the buffer; otherwise it reads it.</summary>
    public const ushort Write = 2;

    /// <summary>The buffer is a table of descriptors.</summary>
    public const ushort Indirect = 4;

    /// <summary>Packed: AVAIL.</summary>
    public const ushort Available = 1 << 7;

    /// <summary>Packed: USED.</summary>
    public const ushort Used = 1 << 15;
}

/// <summary>Available and used rings of a split queue (virtio 1.2 §2.7.6, §2.7.8): offsets and sizes.</summary>
public static class SplitLayout
{
    /// <summary>flags of either ring, 2 bytes. Available bit 0: no interrupt; used bit 0: no notification.</summary>
    public const int Flags = 0;

    /// <summary>idx of either ring, 2 bytes.</summary>
    public const int Index = 2;

    /// <summary>First entry of either ring.</summary>
    public const int Ring = 4;

    /// <summary>Bytes of an entry of the available ring.</summary>
    public const int AvailableEntry = 2;

    /// <summary>Bytes of an entry of the used ring: id and len, 4 bytes each.</summary>
    public const int UsedEntry = 8;

    /// <summary>VIRTQ_AVAIL_F_NO_INTERRUPT and VIRTQ_USED_F_NO_NOTIFY.</summary>
    public const ushort Suppress = 1;

    /// <summary>Bytes of the available ring with used_event.</summary>
    public static ulong AvailableSize(int entries) => 6 + 2ul * (uint)entries;

    /// <summary>Bytes of the used ring with avail_event.</summary>
    public static ulong UsedSize(int entries) => 6 + 8ul * (uint)entries;
}

/// <summary>Event suppression structures of a packed queue (virtio 1.2 §2.8.14).</summary>
public static class PackedEvent
{
    /// <summary>Bytes: desc (off 14:0, wrap 15), then flags.</summary>
    public const int Size = 4;

    /// <summary>Offset of flags.</summary>
    public const int Flags = 2;

    /// <summary>RING_EVENT_FLAGS_ENABLE.</summary>
    public const int Enable = 0;

    /// <summary>RING_EVENT_FLAGS_DISABLE.</summary>
    public const int Disable = 1;

    /// <summary>RING_EVENT_FLAGS_DESC: at the descriptor that desc names; with VIRTIO_F_EVENT_IDX only.</summary>
    public const int Descriptor = 2;
}
