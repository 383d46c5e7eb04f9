namespace Vmm.Specs.Nvme;

/// <summary>Offsets in the Identify Controller data structure, 4096 bytes (NVMe 1.4 §5.15.2.2).</summary>
public static class IdentifyController
{
    /// <summary>PCI Vendor ID, 2 bytes.</summary>
    public const int VID = 0;

    /// <summary>PCI Subsystem Vendor ID, 2 bytes.</summary>
    public const int SSVID = 2;

    /// <summary>Serial Number, 20 ASCII bytes.</summary>
    public const int SN = 4;

    /// <summary>Model Number, 40 ASCII bytes.</summary>
    public const int MN = 24;

    /// <summary>Firmware Revision, 8 ASCII bytes.</summary>
    public const int FR = 64;

    /// <summary>Recommended Arbitration Burst, log2.</summary>
    public const int RAB = 72;

    /// <summary>Maximum Data Transfer Size, log2 of minimum pages.</summary>
    public const int MDTS = 77;

    /// <summary>Version, 4 bytes.</summary>
    public const int VER = 80;

    /// <summary>Optional Asynchronous Events Supported, 4 bytes.</summary>
    public const int OAES = 92;

    /// <summary>Controller Attributes, 4 bytes.</summary>
    public const int CTRATT = 96;

    /// <summary>Controller Type: 1 I/O controller.</summary>
    public const int CNTRLTYPE = 111;

    /// <summary>Optional Admin Command Support, 2 bytes.</summary>
    public const int OACS = 256;

    /// <summary>Abort Command Limit, 0's based.</summary>
    public const int ACL = 258;

    /// <summary>Asynchronous Event Request Limit, 0's based.</summary>
    public const int AERL = 259;

    /// <summary>Firmware Updates.</summary>
    public const int FRMW = 260;

    /// <summary>Log Page Attributes.</summary>
    public const int LPA = 261;

    /// <summary>Error Log Page Entries, 0's based.</summary>
    public const int ELPE = 262;

    /// <summary>Number of Power States Support, 0's based.</summary>
    public const int NPSS = 263;

    /// <summary>Warning Composite Temperature Threshold, 2 bytes, kelvin.</summary>
    public const int WCTEMP = 266;

    /// <summary>Critical Composite Temperature Threshold, 2 bytes, kelvin.</summary>
    public const int CCTEMP = 268;

    /// <summary>Submission Queue Entry Size, log2: maximum (7:4), required (3:0).</summary>
    public const int SQES = 512;

    /// <summary>Completion Queue Entry Size, log2: maximum (7:4), required (3:0).</summary>
    public const int CQES = 513;

    /// <summary>Number of Namespaces, 4 bytes.</summary>
    public const int NN = 516;

    /// <summary>Optional NVM Command Support, 2 bytes.</summary>
    public const int ONCS = 520;

    /// <summary>Format NVM Attributes.</summary>
    public const int FNA = 524;

    /// <summary>Volatile Write Cache.</summary>
    public const int VWC = 525;

    /// <summary>SGL Support, 4 bytes.</summary>
    public const int SGLS = 536;

    /// <summary>NVM Subsystem NVMe Qualified Name, 256 bytes.</summary>
    public const int SUBNQN = 768;

    /// <summary>Power State 0 Descriptor, 32 bytes.</summary>
    public const int PSD0 = 2048;
}

/// <summary>Offsets in the Identify Namespace data structure, 4096 bytes (NVMe 1.4 §5.15.2.1).</summary>
public static class IdentifyNamespace
{
    /// <summary>Namespace Size in logical blocks, 8 bytes.</summary>
    public const int NSZE = 0;

    /// <summary>Namespace Capacity in logical blocks, 8 bytes.</summary>
    public const int NCAP = 8;

    /// <summary>Namespace Utilization in logical blocks, 8 bytes.</summary>
    public const int NUSE = 16;

    /// <summary>Number of LBA Formats, 0's based.</summary>
    public const int NLBAF = 25;

    /// <summary>Formatted LBA Size: index of the format in use.</summary>
    public const int FLBAS = 26;

    /// <summary>Deallocate Logical Block Features.</summary>
    public const int DLFEAT = 33;

    /// <summary>Namespace Attributes; bit 0: write protected.</summary>
    public const int NSATTR = 99;

    /// <summary>Namespace Globally Unique Identifier, 16 bytes, big-endian.</summary>
    public const int NGUID = 104;

    /// <summary>LBA Format 0, 4 bytes: metadata bytes (15:0), log2 of data bytes (23:16), relative performance (25:24).</summary>
    public const int LBAF0 = 128;
}

/// <summary>Offsets in the SMART / Health log page, 512 bytes (NVMe 1.4 §5.14.1.2).</summary>
public static class SmartLog
{
    /// <summary>Critical Warning.</summary>
    public const int CriticalWarning = 0;

    /// <summary>Composite Temperature, 2 bytes, kelvin.</summary>
    public const int Temperature = 1;

    /// <summary>Available Spare, percent.</summary>
    public const int AvailableSpare = 3;

    /// <summary>Available Spare Threshold, percent.</summary>
    public const int SpareThreshold = 4;

    /// <summary>Data Units Read, 16 bytes, thousands of 512 bytes.</summary>
    public const int UnitsRead = 32;

    /// <summary>Data Units Written, 16 bytes.</summary>
    public const int UnitsWritten = 48;

    /// <summary>Host Read Commands, 16 bytes.</summary>
    public const int ReadCommands = 64;

    /// <summary>Host Write Commands, 16 bytes.</summary>
    public const int WriteCommands = 80;

    /// <summary>Power Cycles, 16 bytes.</summary>
    public const int PowerCycles = 112;

    /// <summary>Power On Hours, 16 bytes.</summary>
    public const int PowerOnHours = 128;

    /// <summary>Unsafe Shutdowns, 16 bytes.</summary>
    public const int UnsafeShutdowns = 144;

    /// <summary>Media and Data Integrity Errors, 16 bytes.</summary>
    public const int MediaErrors = 160;

    /// <summary>Number of Error Information Log Entries over the life of the controller, 16 bytes.</summary>
    public const int ErrorEntries = 176;

    /// <summary>Length of the page.</summary>
    public const int Length = 512;
}
