namespace Vmm.Specs.Virtio;

/// <summary>Feature bits of the block device (virtio 1.2 §5.2.3), as masks.</summary>
public static class VirtioBlkFeature
{
    /// <summary>VIRTIO_BLK_F_SIZE_MAX.</summary>
    public const ulong SizeMax = 1 << 1;

    /// <summary>VIRTIO_BLK_F_SEG_MAX.</summary>
    public const ulong SegMax = 1 << 2;

    /// <summary>VIRTIO_BLK_F_RO.</summary>
    public const ulong ReadOnly = 1 << 5;

    /// <summary>VIRTIO_BLK_F_BLK_SIZE.</summary>
    public const ulong BlockSize = 1 << 6;

    /// <summary>VIRTIO_BLK_F_FLUSH.</summary>
    public const ulong Flush = 1 << 9;

    /// <summary>VIRTIO_BLK_F_TOPOLOGY.</summary>
    public const ulong Topology = 1 << 10;

    /// <summary>VIRTIO_BLK_F_CONFIG_WCE.</summary>
    public const ulong ConfigWce = 1 << 11;

    /// <summary>VIRTIO_BLK_F_MQ.</summary>
    public const ulong MultiQueue = 1 << 12;

    /// <summary>VIRTIO_BLK_F_DISCARD.</summary>
    public const ulong Discard = 1 << 13;

    /// <summary>VIRTIO_BLK_F_WRITE_ZEROES.</summary>
    public const ulong WriteZeroes = 1 << 14;
}

/// <summary>struct virtio_blk_config (virtio 1.2 §5.2.4): offsets.</summary>
public static class VirtioBlkConfig
{
    /// <summary>capacity in sectors of 512 bytes, 8 bytes.</summary>
    public const int Capacity = 0x00;

    /// <summary>size_max, 4 bytes.</summary>
    public const int SizeMax = 0x08;

    /// <summary>seg_max, 4 bytes.</summary>
    public const int SegMax = 0x0C;

    /// <summary>geometry, 4 bytes.</summary>
    public const int Geometry = 0x10;

    /// <summary>blk_size, 4 bytes.</summary>
    public const int BlockSize = 0x14;

    /// <summary>topology.physical_block_exp, 1 byte.</summary>
    public const int PhysicalBlockExponent = 0x18;

    /// <summary>topology.alignment_offset, 1 byte.</summary>
    public const int AlignmentOffset = 0x19;

    /// <summary>topology.min_io_size, 2 bytes.</summary>
    public const int MinIoSize = 0x1A;

    /// <summary>topology.opt_io_size, 4 bytes.</summary>
    public const int OptIoSize = 0x1C;

    /// <summary>writeback, 1 byte.</summary>
    public const int Writeback = 0x20;

    /// <summary>num_queues, 2 bytes.</summary>
    public const int NumQueues = 0x22;

    /// <summary>max_discard_sectors, 4 bytes.</summary>
    public const int MaxDiscardSectors = 0x24;

    /// <summary>max_discard_seg, 4 bytes.</summary>
    public const int MaxDiscardSegments = 0x28;

    /// <summary>discard_sector_alignment, 4 bytes.</summary>
    public const int DiscardAlignment = 0x2C;

    /// <summary>max_write_zeroes_sectors, 4 bytes.</summary>
    public const int MaxWriteZeroesSectors = 0x30;

    /// <summary>max_write_zeroes_seg, 4 bytes.</summary>
    public const int MaxWriteZeroesSegments = 0x34;

    /// <summary>write_zeroes_may_unmap, 1 byte.</summary>
    public const int WriteZeroesMayUnmap = 0x38;

    /// <summary>Bytes of the structure up to what this version of the device has.</summary>
    public const int Size = 0x3C;
}

/// <summary>Requests of the block device (virtio 1.2 §5.2.6).</summary>
public static class VirtioBlkRequest
{
    /// <summary>Bytes of the header: type, reserved (4 each), sector (8).</summary>
    public const int HeaderSize = 16;

    /// <summary>VIRTIO_BLK_T_IN.</summary>
    public const uint In = 0;

    /// <summary>VIRTIO_BLK_T_OUT.</summary>
    public const uint Out = 1;

    /// <summary>VIRTIO_BLK_T_FLUSH.</summary>
    public const uint Flush = 4;

    /// <summary>VIRTIO_BLK_T_GET_ID.</summary>
    public const uint GetId = 8;

    /// <summary>VIRTIO_BLK_T_DISCARD.</summary>
    public const uint Discard = 11;

    /// <summary>VIRTIO_BLK_T_WRITE_ZEROES.</summary>
    public const uint WriteZeroes = 13;

    /// <summary>Bytes that GET_ID returns.</summary>
    public const int IdSize = 20;

    /// <summary>Bytes of a discard or write zeroes segment: sector (8), num_sectors (4), flags (4).</summary>
    public const int SegmentSize = 16;

    /// <summary>Flag of a segment: the range may be unmapped.</summary>
    public const uint Unmap = 1;
}

/// <summary>Status byte of a request (virtio 1.2 §5.2.6).</summary>
public enum VirtioBlkStatus : byte
{
    /// <summary>VIRTIO_BLK_S_OK.</summary>
    Ok = 0,

    /// <summary>VIRTIO_BLK_S_IOERR.</summary>
    IoError = 1,

    /// <summary>VIRTIO_BLK_S_UNSUPP.</summary>
    Unsupported = 2,
}
