namespace Vmm.Specs.Nvme;

/// <summary>Opcodes of admin commands (NVMe 1.4 §5).</summary>
public static class NvmeAdminOpcode
{
    /// <summary>Delete I/O Submission Queue.</summary>
    public const byte DeleteSq = 0x00;

    /// <summary>Create I/O Submission Queue.</summary>
    public const byte CreateSq = 0x01;

    /// <summary>Get Log Page.</summary>
    public const byte GetLogPage = 0x02;

    /// <summary>Delete I/O Completion Queue.</summary>
    public const byte DeleteCq = 0x04;

    /// <summary>Create I/O Completion Queue.</summary>
    public const byte CreateCq = 0x05;

    /// <summary>Identify.</summary>
    public const byte Identify = 0x06;

    /// <summary>Abort.</summary>
    public const byte Abort = 0x08;

    /// <summary>Set Features.</summary>
    public const byte SetFeatures = 0x09;

    /// <summary>Get Features.</summary>
    public const byte GetFeatures = 0x0A;

    /// <summary>Asynchronous Event Request.</summary>
    public const byte AsyncEventRequest = 0x0C;

    /// <summary>Doorbell Buffer Config.</summary>
    public const byte DoorbellBufferConfig = 0x7C;

    /// <summary>Format NVM.</summary>
    public const byte FormatNvm = 0x80;
}

/// <summary>Opcodes of the NVM command set (NVMe 1.4 §6).</summary>
public static class NvmeIoOpcode
{
    /// <summary>Flush.</summary>
    public const byte Flush = 0x00;

    /// <summary>Write.</summary>
    public const byte Write = 0x01;

    /// <summary>Read.</summary>
    public const byte Read = 0x02;

    /// <summary>Write Uncorrectable.</summary>
    public const byte WriteUncorrectable = 0x04;

    /// <summary>Compare.</summary>
    public const byte Compare = 0x05;

    /// <summary>Write Zeroes.</summary>
    public const byte WriteZeroes = 0x08;

    /// <summary>Dataset Management.</summary>
    public const byte DatasetManagement = 0x09;

    /// <summary>Verify.</summary>
    public const byte Verify = 0x0C;
}

/// <summary>Feature identifiers (NVMe 1.4 §5.21.1).</summary>
public static class NvmeFeature
{
    /// <summary>Arbitration.</summary>
    public const byte Arbitration = 0x01;

    /// <summary>Power Management.</summary>
    public const byte PowerManagement = 0x02;

    /// <summary>Temperature Threshold.</summary>
    public const byte TemperatureThreshold = 0x04;

    /// <summary>Error Recovery.</summary>
    public const byte ErrorRecovery = 0x05;

    /// <summary>Volatile Write Cache.</summary>
    public const byte VolatileWriteCache = 0x06;

    /// <summary>Number of Queues.</summary>
    public const byte NumberOfQueues = 0x07;

    /// <summary>Interrupt Coalescing.</summary>
    public const byte InterruptCoalescing = 0x08;

    /// <summary>Interrupt Vector Configuration.</summary>
    public const byte InterruptVectorConfig = 0x09;

    /// <summary>Write Atomicity Normal.</summary>
    public const byte WriteAtomicity = 0x0A;

    /// <summary>Asynchronous Event Configuration.</summary>
    public const byte AsyncEventConfig = 0x0B;

    /// <summary>Timestamp.</summary>
    public const byte Timestamp = 0x0E;

    /// <summary>Host Identifier.</summary>
    public const byte HostIdentifier = 0x81;
}

/// <summary>Log page identifiers (NVMe 1.4 §5.14.1).</summary>
public static class NvmeLogPage
{
    /// <summary>Error Information.</summary>
    public const byte ErrorInformation = 0x01;

    /// <summary>SMART / Health Information.</summary>
    public const byte Smart = 0x02;

    /// <summary>Firmware Slot Information.</summary>
    public const byte FirmwareSlot = 0x03;

    /// <summary>Changed Namespace List.</summary>
    public const byte ChangedNamespaces = 0x04;

    /// <summary>Commands Supported and Effects.</summary>
    public const byte CommandEffects = 0x05;
}

/// <summary>CNS values of Identify (NVMe 1.4 §5.15.1).</summary>
public static class NvmeCns
{
    /// <summary>Namespace data structure.</summary>
    public const byte Namespace = 0x00;

    /// <summary>Controller data structure.</summary>
    public const byte Controller = 0x01;

    /// <summary>Active namespace list.</summary>
    public const byte ActiveNamespaces = 0x02;

    /// <summary>Namespace identification descriptors.</summary>
    public const byte NamespaceDescriptors = 0x03;

    /// <summary>Allocated namespace list.</summary>
    public const byte AllocatedNamespaces = 0x10;

    /// <summary>Namespace data structure of an allocated namespace.</summary>
    public const byte AllocatedNamespace = 0x11;
}
