namespace Vmm.Specs.Nvme;

/// <summary>Offsets of controller registers in BAR 0 (NVMe 1.4 §3.1).</summary>
public static class NvmeRegister
{
    /// <summary>Controller Capabilities, 8 bytes.</summary>
    public const int CAP = 0x00;

    /// <summary>Version, 4 bytes.</summary>
    public const int VS = 0x08;

    /// <summary>Interrupt Mask Set, 4 bytes.</summary>
    public const int INTMS = 0x0C;

    /// <summary>Interrupt Mask Clear, 4 bytes.</summary>
    public const int INTMC = 0x10;

    /// <summary>Controller Configuration, 4 bytes.</summary>
    public const int CC = 0x14;

    /// <summary>Controller Status, 4 bytes.</summary>
    public const int CSTS = 0x1C;

    /// <summary>Admin Queue Attributes, 4 bytes: completion queue size - 1 (27:16), submission queue size - 1 (11:0).</summary>
    public const int AQA = 0x24;

    /// <summary>Admin Submission Queue Base Address, 8 bytes.</summary>
    public const int ASQ = 0x28;

    /// <summary>Admin Completion Queue Base Address, 8 bytes.</summary>
    public const int ACQ = 0x30;

    /// <summary>Controller Memory Buffer Location, 4 bytes.</summary>
    public const int CMBLOC = 0x38;

    /// <summary>Controller Memory Buffer Size, 4 bytes; 0 means none.</summary>
    public const int CMBSZ = 0x3C;

    /// <summary>First doorbell: submission queue 0 tail; completion queue 0 head follows, and so on for each queue.</summary>
    public const int Doorbells = 0x1000;
}

/// <summary>CAP, Controller Capabilities (NVMe 1.4 §3.1.1).</summary>
public readonly record struct NvmeCap(ulong Raw)
{
    /// <summary>Maximum Queue Entries Supported, 0's based.</summary>
    public int MQES { get => (int)Bits.Field(Raw, 0, 16); init => Raw = Bits.SetField(Raw, 0, 16, (ulong)value); }

    /// <summary>Contiguous Queues Required.</summary>
    public bool CQR { get => Bits.Get(Raw, 16); init => Raw = Bits.Set(Raw, 16, value); }

    /// <summary>Timeout in units of 500 ms.</summary>
    public int TO { get => (int)Bits.Field(Raw, 24, 8); init => Raw = Bits.SetField(Raw, 24, 8, (ulong)value); }

    /// <summary>Doorbell Stride: 2^(2 + DSTRD) bytes.</summary>
    public int DSTRD { get => (int)Bits.Field(Raw, 32, 4); init => Raw = Bits.SetField(Raw, 32, 4, (ulong)value); }

    /// <summary>NVM command set supported (bit 37).</summary>
    public bool CSS_NVM { get => Bits.Get(Raw, 37); init => Raw = Bits.Set(Raw, 37, value); }

    /// <summary>Memory Page Size Minimum: 2^(12 + MPSMIN) bytes.</summary>
    public int MPSMIN { get => (int)Bits.Field(Raw, 48, 4); init => Raw = Bits.SetField(Raw, 48, 4, (ulong)value); }

    /// <summary>Memory Page Size Maximum: 2^(12 + MPSMAX) bytes.</summary>
    public int MPSMAX { get => (int)Bits.Field(Raw, 52, 4); init => Raw = Bits.SetField(Raw, 52, 4, (ulong)value); }
}

/// <summary>CC, Controller Configuration (NVMe 1.4 §3.1.5).</summary>
public readonly record struct NvmeCc(uint Raw)
{
    /// <summary>Bits that are not reserved.</summary>
    public const uint Implemented = 0x00FF_FFF1;

    /// <summary>Enable.</summary>
    public bool EN { get => Bits.Get(Raw, 0); init => Raw = Bits.Set(Raw, 0, value); }

    /// <summary>I/O Command Set Selected.</summary>
    public int CSS { get => (int)Bits.Field(Raw, 4, 3); init => Raw = (uint)Bits.SetField(Raw, 4, 3, (ulong)value); }

    /// <summary>Memory Page Size: 2^(12 + MPS) bytes.</summary>
    public int MPS { get => (int)Bits.Field(Raw, 7, 4); init => Raw = (uint)Bits.SetField(Raw, 7, 4, (ulong)value); }

    /// <summary>Arbitration Mechanism Selected.</summary>
    public int AMS { get => (int)Bits.Field(Raw, 11, 3); init => Raw = (uint)Bits.SetField(Raw, 11, 3, (ulong)value); }

    /// <summary>Shutdown Notification: 0 none, 1 normal, 2 abrupt.</summary>
    public int SHN { get => (int)Bits.Field(Raw, 14, 2); init => Raw = (uint)Bits.SetField(Raw, 14, 2, (ulong)value); }

    /// <summary>I/O Submission Queue Entry Size: 2^IOSQES bytes.</summary>
    public int IOSQES { get => (int)Bits.Field(Raw, 16, 4); init => Raw = (uint)Bits.SetField(Raw, 16, 4, (ulong)value); }

    /// <summary>I/O Completion Queue Entry Size: 2^IOCQES bytes.</summary>
    public int IOCQES { get => (int)Bits.Field(Raw, 20, 4); init => Raw = (uint)Bits.SetField(Raw, 20, 4, (ulong)value); }
}

/// <summary>CSTS, Controller Status (NVMe 1.4 §3.1.6).</summary>
public readonly record struct NvmeCsts(uint Raw)
{
    /// <summary>Ready.</summary>
    public bool RDY { get => Bits.Get(Raw, 0); init => Raw = Bits.Set(Raw, 0, value); }

    /// <summary>Controller Fatal Status.</summary>
    public bool CFS { get => Bits.Get(Raw, 1); init => Raw = Bits.Set(Raw, 1, value); }

    /// <summary>Shutdown Status: 0 normal operation, 1 occurring, 2 complete.</summary>
    public int SHST { get => (int)Bits.Field(Raw, 2, 2); init => Raw = (uint)Bits.SetField(Raw, 2, 2, (ulong)value); }
}
