using System.Runtime.InteropServices;

namespace Vmm.Specs.Nvme;

/// <summary>Submission queue entry, 64 bytes (NVMe 1.4 §4.2).</summary>
[StructLayout(LayoutKind.Sequential, Size = Size)]
public struct NvmeCommand
{
    /// <summary>Bytes of an entry.</summary>
    public const int Size = 64;

    /// <summary>Command Dword 0: opcode (7:0), FUSE (9:8), PSDT (15:14), CID (31:16).</summary>
    public uint Cdw0;

    /// <summary>Namespace Identifier.</summary>
    public uint NSID;

    /// <summary>Command Dwords 2 and 3.</summary>
    public ulong Cdw2;

    /// <summary>Metadata Pointer.</summary>
    public ulong MPTR;

    /// <summary>Data Pointer: PRP Entry 1, or the first half of an SGL descriptor.</summary>
    public ulong PRP1;

    /// <summary>Data Pointer: PRP Entry 2, or the second half of an SGL descriptor.</summary>
    public ulong PRP2;

    /// <summary>Command Dword 10.</summary>
    public uint Cdw10;

    /// <summary>Command Dword 11.</summary>
    public uint Cdw11;

    /// <summary>Command Dword 12.</summary>
    public uint Cdw12;

    /// <summary>Command Dword 13.</summary>
    public uint Cdw13;

    /// <summary>Command Dword 14.</summary>
    public uint Cdw14;

    /// <summary>Command Dword 15.</summary>
    public uint Cdw15;

    /// <summary>Opcode.</summary>
    public readonly byte Opcode => (byte)Cdw0;

    /// <summary>Fused operation: 0 none, 1 first, 2 second.</summary>
    public readonly int FUSE => (int)(Cdw0 >> 8 & 3);

    /// <summary>PRP or SGL for Data Transfer: 0 PRP, 1 SGL, 2 SGL with a metadata segment.</summary>
    public readonly int PSDT => (int)(Cdw0 >> 14 & 3);

    /// <summary>Command Identifier.</summary>
    public readonly ushort CID => (ushort)(Cdw0 >> 16);

    /// <summary>Starting LBA of I/O commands: Cdw11:Cdw10.</summary>
    public readonly ulong SLBA => (ulong)Cdw11 << 32 | Cdw10;

    /// <summary>Number of logical blocks of I/O commands; the field is 0's based.</summary>
    public readonly uint NLB => (Cdw12 & 0xFFFF) + 1;
}

/// <summary>Completion queue entry, 16 bytes (NVMe 1.4 §4.6).</summary>
[StructLayout(LayoutKind.Sequential, Size = Size)]
public struct NvmeCompletion
{
    /// <summary>Bytes of an entry.</summary>
    public const int Size = 16;

    /// <summary>Command specific result.</summary>
    public uint Result;

    /// <summary>Reserved.</summary>
    public uint Reserved;

    /// <summary>SQ Head Pointer (15:0), SQ Identifier (31:16).</summary>
    public uint Queue;

    /// <summary>Command Identifier (15:0), Phase Tag (16), Status Field (31:17).</summary>
    public uint Status;
}

/// <summary>SGL descriptor, 16 bytes (NVMe 1.4 §4.4).</summary>
[StructLayout(LayoutKind.Sequential, Size = Size)]
public struct NvmeSglDescriptor
{
    /// <summary>Bytes of a descriptor.</summary>
    public const int Size = 16;

    /// <summary>Data block.</summary>
    public const int DataBlock = 0;

    /// <summary>Bit bucket: read data that is thrown away.</summary>
    public const int BitBucket = 1;

    /// <summary>Segment: more descriptors, the last of which describes a further segment.</summary>
    public const int Segment = 2;

    /// <summary>Last segment: more descriptors, none of which describes a segment.</summary>
    public const int LastSegment = 3;

    /// <summary>Address, in bytes.</summary>
    public ulong Address;

    /// <summary>Length in bytes (31:0), type (63:60), subtype (59:56).</summary>
    public ulong Rest;

    /// <summary>Length in bytes.</summary>
    public readonly uint Length => (uint)Rest;

    /// <summary>Descriptor type.</summary>
    public readonly int Type => (int)(Rest >> 60);

    /// <summary>Subtype; 0 is an address.</summary>
    public readonly int Subtype => (int)(Rest >> 56 & 15);
}
