using Vmm.Platform.Block;
using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Pci;
using Vmm.Platform.Registers;
using Vmm.Platform.Time;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>
/// An NVMe 1.4 controller: registers and life cycle. A doorbell makes it fetch entries at once; each command then takes
/// its virtual time, and moves data, completes and interrupts when that is over. All memory is reached through the
/// function's DMA port, and nothing read there is kept from one command to the next.
/// </summary>
public sealed partial class NvmeController : IPciDevice, ITimerTarget
{
    const ulong MsixTable = 0x2000, MsixPending = 0x3000, BarLength = 0x4000;
    const int AdminEntryMask = 0xFFF;

    readonly NvmeOptions options;
    readonly VirtualClock clock;
    readonly ClockTimer timer;
    readonly MediaSchedule media;
    readonly RegisterFile registers;
    NvmeCc controllerConfig;
    ulong pageSize = 4096;

    /// <param name="name">Instance name ("nvme0").</param>
    /// <param name="address">Where the controller is plugged in.</param>
    /// <param name="fabric">The machine's DMA fabric.</param>
    /// <param name="clock">The machine's clock.</param>
    /// <param name="options">Settings.</param>
    /// <exception cref="ArgumentException">A setting is out of range; the message names it.</exception>
    public NvmeController(string name, Bdf address, DmaFabric fabric, VirtualClock clock, NvmeOptions options)
    {
        options.Validate();
        this.options = options;
        this.clock = clock;
        VectorCount = options.Vectors == 0 ? options.IoQueues + 1 : options.Vectors;
        Function = new(
            new(name, options.PciId.Vendor, options.PciId.Device, 0x01_08_02, Revision: 2), address, fabric, this);
        Function.AddMemoryBar(0, BarLength);
        Function.AddPowerManagement();
        Function.AddMsix(VectorCount, 0, MsixTable, MsixPending);
        Function.AddExpress();
        Function.SetInterruptPin(1);
        registers = CreateRegisters(options);
        media = new(clock, options.Media);
        transfer = new byte[4096 << options.MaxTransferPages];
        submissions = [.. Enumerable.Range(0, options.IoQueues + 1).Select(static id => new SubmissionQueue(id))];
        completions = [.. Enumerable.Range(0, options.IoQueues + 1).Select(static id => new CompletionQueue(id))];
        namespaces = [.. options.Namespaces.Select((o, i) => new NvmeNamespace((uint)i + 1, o, o.Id ?? MakeId(options.Serial, i + 1)))];
        posted = new int[VectorCount];
        coalesced = new int[VectorCount];
        coalescingDue = new ulong[VectorCount];
        coalescingDisabled = new bool[VectorCount];
        timer = clock.CreateTimer(name + ".command", this);
        coalescingTimer = clock.CreateTimer(name + ".coalesce", this);
        ResetAll();
    }

    /// <summary>The PCI function.</summary>
    public PciFunction Function { get; }

    /// <summary>The registers below the doorbells, for inspection.</summary>
    public RegisterFile Registers => registers;

    /// <summary>MSI-X vectors.</summary>
    public int VectorCount { get; }

    /// <summary>True while commands are taken: enabled, ready and not failed.</summary>
    bool IsRunning => Status is { RDY: true, CFS: false };

    NvmeCsts Status
    {
        get => new(registers.Get32(NvmeRegister.CSTS));
        set => registers.Set32(NvmeRegister.CSTS, value.Raw);
    }

    /// <inheritdoc/>
    public IoResult ReadBar(int bar, ulong offset, Span<byte> data)
    {
        if (!registers.Read(offset, data))
        {
            // Doorbells and reserved space.
            data.Clear();
        }

        return IoResult.Ok;
    }

    /// <inheritdoc/>
    public IoResult WriteBar(int bar, ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset >= NvmeRegister.Doorbells)
        {
            RingDoorbell(offset - NvmeRegister.Doorbells, data);
            return IoResult.Ok;
        }

        var masked = registers.Get32(NvmeRegister.INTMS);
        var touched = registers.Write(offset, data);
        if (touched.Overlaps(NvmeRegister.INTMS, 8))
        {
            // Both registers show the mask: one had bits written to it, the other had bits taken away.
            var cleared = masked & ~registers.Get32(NvmeRegister.INTMC);
            SetInterruptMask((masked | registers.Get32(NvmeRegister.INTMS)) & ~cleared);
        }

        if (touched.Overlaps(NvmeRegister.CC, 4))
        {
            ConfigWritten(new(registers.Get32(NvmeRegister.CC)));
        }

        return IoResult.Ok;
    }

    /// <inheritdoc/>
    public void FunctionReset()
    {
        if (Status is { RDY: true, SHST: not 2 })
        {
            smart.UnsafeShutdowns++;
        }

        ResetAll();
    }

    /// <inheritdoc/>
    public void Expired(ClockTimer timer, ulong due)
    {
        if (timer == coalescingTimer)
        {
            CoalescingExpired();
            return;
        }

        RunDueCommands();
        DeliverInterrupts();
        ArmTimer();
    }

    static RegisterFile CreateRegisters(NvmeOptions options)
    {
        var cap = new NvmeCap { MQES = options.QueueEntries - 1, CQR = true, TO = 40, CSS_NVM = true, MPSMAX = 4 };
        return new(
            NvmeRegister.Doorbells,
            new RegisterDefinition("CAP", NvmeRegister.CAP, 8, Reset: cap.Raw),
            new RegisterDefinition("VS", NvmeRegister.VS, 4, Reset: 0x0001_0400),
            new RegisterDefinition("INTMS", NvmeRegister.INTMS, 4, Write: uint.MaxValue),
            new RegisterDefinition("INTMC", NvmeRegister.INTMC, 4, ClearOnOne: uint.MaxValue),
            new RegisterDefinition("CC", NvmeRegister.CC, 4, Write: NvmeCc.Implemented),
            new RegisterDefinition("CSTS", NvmeRegister.CSTS, 4),
            new RegisterDefinition("AQA", NvmeRegister.AQA, 4, Write: 0x0FFF_0FFF),
            new RegisterDefinition("ASQ", NvmeRegister.ASQ, 8, Write: 0xFFFF_FFFF_FFFF_F000),
            new RegisterDefinition("ACQ", NvmeRegister.ACQ, 8, Write: 0xFFFF_FFFF_FFFF_F000),
            new RegisterDefinition("CMBLOC", NvmeRegister.CMBLOC, 4),
            new RegisterDefinition("CMBSZ", NvmeRegister.CMBSZ, 4));
    }

    /// <summary>An identity that is the same in every run.</summary>
    static Guid MakeId(string serial, int number)
    {
        // FNV-1a over the serial number and the namespace id, twice.
        var (low, high) = (0xCBF2_9CE4_8422_2325ul, 0x84222325_CBF29CE4ul);
        foreach (var character in $"{serial}/{number}")
        {
            low = unchecked((low ^ character) * 0x100_0000_01B3);
            high = unchecked((high ^ low) * 0x100_0000_01B3);
        }

        Span<byte> bytes = stackalloc byte[16];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(bytes, high);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(bytes[8..], low);
        // Version 8 (custom), RFC variant.
        bytes[6] = (byte)(bytes[6] & 0x0F | 0x80);
        bytes[8] = (byte)(bytes[8] & 0x3F | 0x80);
        return new(bytes, bigEndian: true);
    }

    void ConfigWritten(NvmeCc written)
    {
        var before = controllerConfig;
        controllerConfig = written;
        if (written.EN && !before.EN)
        {
            Enable(written);
        }
        else if (!written.EN && before.EN)
        {
            ControllerReset();
        }

        if (written.SHN != 0 && before.SHN == 0)
        {
            ShutDown();
        }
        else if (written.SHN == 0 && before.SHN != 0)
        {
            Status = Status with { SHST = 0 };
        }
    }

    /// <summary>CC.EN 0 to 1: the admin queues start, or the controller fails because its settings are impossible.</summary>
    void Enable(NvmeCc config)
    {
        var attributes = registers.Get32(NvmeRegister.AQA);
        var (submissionSize, completionSize) = ((attributes & AdminEntryMask) + 1, (attributes >> 16 & AdminEntryMask) + 1);
        var page = 4096ul << config.MPS;
        var (submission, completion) = (registers.Get64(NvmeRegister.ASQ), registers.Get64(NvmeRegister.ACQ));
        if (config.CSS != 0 || config.AMS != 0 || config.MPS > 4 || submissionSize < 2 || completionSize < 2 ||
            ((submission | completion) & (page - 1)) != 0)
        {
            Fail();
            return;
        }

        pageSize = page;
        submissions[0].Create(submission, submissionSize, 0);
        completions[0].Create(completion, completionSize, 0, true);
        Status = new NvmeCsts { RDY = true, SHST = Status.SHST };
    }

    /// <summary>Something that only a reset can mend; the guest learns it from CSTS.CFS (NVMe 1.4 §9.5).</summary>
    void Fail() => Status = Status with { CFS = true };

    /// <summary>Shutdown: what was taken is finished and made durable (NVMe 1.4 §7.6.2).</summary>
    void ShutDown()
    {
        for (var left = inFlight.Count; left > 0 && IsRunning; left--)
        {
            RunNext();
        }

        DeliverInterrupts();
        ArmTimer();
        FlushAll();
        Status = Status with { SHST = 2 };
    }

    /// <summary>CC.EN 1 to 0: everything but AQA, ASQ and ACQ starts anew (NVMe 1.4 §7.3.2).</summary>
    void ControllerReset()
    {
        timer.Disarm();
        inFlight.Clear();
        media.Reset();
        foreach (var queue in submissions)
        {
            queue.Exists = false;
        }

        foreach (var queue in completions)
        {
            queue.Exists = false;
        }

        ResetInterrupts();
        ResetEvents();
        ResetFeatures();
        shadow = default;
        registers.Set32(NvmeRegister.INTMS, 0);
        registers.Set32(NvmeRegister.INTMC, 0);
        Status = default;
        UpdatePin();
    }

    void ResetAll()
    {
        registers.Reset();
        controllerConfig = default;
        pageSize = 4096;
        ControllerReset();
        ResetLogs();
    }
}
