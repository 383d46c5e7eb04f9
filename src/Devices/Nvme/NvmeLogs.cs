using System.Buffers.Binary;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>Get Log Page (NVMe 1.4 §5.14) and what the pages are made of.</summary>
public sealed partial class NvmeController
{
    const string FirmwareRevision = "1.0";
    const int LogLength = 4096, ErrorEntryLength = 64;

    readonly SmartCounters smart = new();
    readonly byte[] errorLog = new byte[ErrorEntries * ErrorEntryLength];
    ulong errorCount;
    uint changedNamespaces;
    ushort temperature = 308;

    /// <summary>Composite temperature in kelvin, as the guest sees it. Passing a threshold makes an event.</summary>
    public int Temperature
    {
        get => temperature;
        set
        {
            temperature = (ushort)value;
            CheckTemperature();
            DeliverInterrupts();
        }
    }

    bool IsTemperatureCritical => temperature >= overTemperature || temperature <= underTemperature;

    /// <summary>Makes blocks unreadable until they are written again, as failing media does.</summary>
    /// <returns>False when there is no such range, or there are too many bad ranges.</returns>
    public bool Spoil(uint nsid, ulong block, ulong count) =>
        Find(nsid) is { } space && space.Contains(block, count) && space.Spoil(block, count) == NvmeStatus.Success;

    NvmeStatus GetLogPage(in NvmeCommand command, SubmissionQueue queue)
    {
        var dwords = ((ulong)(command.Cdw11 & 0xFFFF) << 16 | command.Cdw10 >> 16) + 1;
        var offset = (ulong)command.Cdw13 << 32 | command.Cdw12;
        var id = (byte)command.Cdw10;
        if (dwords * 4 > (ulong)transfer.Length || (offset & 3) != 0)
        {
            return Refuse(NvmeStatus.InvalidField);
        }

        var page = scratch.AsSpan(0, LogLength);
        page.Clear();
        var status = FillLog(id, command.NSID, page, out var length);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        if (offset >= (ulong)length)
        {
            return Refuse(NvmeStatus.InvalidField);
        }

        var part = page[(int)offset..length];
        part = part[..(int)Math.Min((ulong)part.Length, dwords * 4)];
        status = ToGuest(command, ref queue.Data, part);
        if (status == NvmeStatus.Success && (command.Cdw10 >> 15 & 1) == 0)
        {
            LogWasRead(id);
        }

        return status;
    }

    NvmeStatus FillLog(byte id, uint nsid, Span<byte> page, out int length)
    {
        length = LogLength;
        switch (id)
        {
            case NvmeLogPage.ErrorInformation:
                errorLog.CopyTo(page);
                return NvmeStatus.Success;
            case NvmeLogPage.Smart:
                length = SmartLog.Length;
                return nsid is 0 or AllNamespaces ? FillSmart(page) : Refuse(NvmeStatus.InvalidField);
            case NvmeLogPage.FirmwareSlot:
                length = 512;
                page[0] = 1;
                Text(page.Slice(8, 8), FirmwareRevision);
                return NvmeStatus.Success;
            case NvmeLogPage.ChangedNamespaces:
                FillChangedNamespaces(page);
                return NvmeStatus.Success;
            case NvmeLogPage.CommandEffects:
                FillEffects(page);
                return NvmeStatus.Success;
            default:
                return Refuse(NvmeStatus.InvalidLogPage);
        }
    }

    void LogWasRead(byte id)
    {
        switch (id)
        {
            case NvmeLogPage.ErrorInformation:
                HearEvents(NvmeEventType.Error);
                break;
            case NvmeLogPage.Smart:
                HearEvents(NvmeEventType.Smart);
                break;
            case NvmeLogPage.ChangedNamespaces:
                changedNamespaces = 0;
                HearEvents(NvmeEventType.Notice);
                break;
        }
    }

    NvmeStatus FillSmart(Span<byte> page)
    {
        page[SmartLog.CriticalWarning] = (byte)(IsTemperatureCritical ? 2 : 0);
        BinaryPrimitives.WriteUInt16LittleEndian(page[SmartLog.Temperature..], temperature);
        page[SmartLog.AvailableSpare] = 100;
        page[SmartLog.SpareThreshold] = 10;
        smart.Fill(page);
        BinaryPrimitives.WriteUInt64LittleEndian(page[SmartLog.PowerCycles..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(page[SmartLog.PowerOnHours..], clock.NowNanoseconds / 3_600_000_000_000);
        BinaryPrimitives.WriteUInt64LittleEndian(page[SmartLog.ErrorEntries..], errorCount);
        return NvmeStatus.Success;
    }

    void FillChangedNamespaces(Span<byte> page)
    {
        foreach (var space in namespaces)
        {
            if ((changedNamespaces >> (int)(space.Nsid - 1) & 1) != 0)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(page, space.Nsid);
                page = page[4..];
            }
        }
    }

    /// <summary>Commands Supported and Effects: supported (0), changes data (1), changes a namespace (2).</summary>
    static void FillEffects(Span<byte> page)
    {
        ReadOnlySpan<byte> admin =
        [
            NvmeAdminOpcode.DeleteSq, NvmeAdminOpcode.CreateSq, NvmeAdminOpcode.GetLogPage, NvmeAdminOpcode.DeleteCq,
            NvmeAdminOpcode.CreateCq, NvmeAdminOpcode.Identify, NvmeAdminOpcode.Abort, NvmeAdminOpcode.SetFeatures,
            NvmeAdminOpcode.GetFeatures, NvmeAdminOpcode.AsyncEventRequest, NvmeAdminOpcode.DoorbellBufferConfig, NvmeAdminOpcode.FormatNvm,
        ];
        foreach (var opcode in admin)
        {
            page[opcode * 4] = 1;
        }

        page[NvmeAdminOpcode.FormatNvm * 4] = 1 | 1 << 1 | 1 << 2;
        ReadOnlySpan<byte> reading = [NvmeIoOpcode.Flush, NvmeIoOpcode.Read, NvmeIoOpcode.Compare, NvmeIoOpcode.Verify];
        ReadOnlySpan<byte> writing =
            [NvmeIoOpcode.Write, NvmeIoOpcode.WriteUncorrectable, NvmeIoOpcode.WriteZeroes, NvmeIoOpcode.DatasetManagement];
        foreach (var opcode in reading)
        {
            page[1024 + opcode * 4] = 1;
        }

        foreach (var opcode in writing)
        {
            page[1024 + opcode * 4] = 1 | 1 << 1;
        }
    }

    /// <summary>Counts an error and, if the transport or the media caused it, logs it and says so in the status.</summary>
    NvmeStatus NoteError(SubmissionQueue queue, in NvmeCommand command, NvmeStatus status)
    {
        var code = (NvmeStatus)((int)status & 0x7FF);
        if (code is NvmeStatus.UnrecoveredRead or NvmeStatus.WriteFault)
        {
            smart.MediaErrors++;
        }
        else if (code is not (NvmeStatus.DataTransferError or NvmeStatus.InternalError or NvmeStatus.CapacityExceeded))
        {
            return status;
        }

        status |= NvmeStatus.More;
        // The newest entry is the first of the page.
        errorLog.AsSpan(0, errorLog.Length - ErrorEntryLength).CopyTo(errorLog.AsSpan(ErrorEntryLength));
        var entry = errorLog.AsSpan(0, ErrorEntryLength);
        entry.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(entry, ++errorCount);
        BinaryPrimitives.WriteUInt16LittleEndian(entry[8..], (ushort)queue.Id);
        BinaryPrimitives.WriteUInt16LittleEndian(entry[10..], command.CID);
        BinaryPrimitives.WriteUInt16LittleEndian(entry[12..], (ushort)((int)status << 1));
        // No field of the command is to blame.
        BinaryPrimitives.WriteUInt16LittleEndian(entry[14..], 0xFFFF);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], queue.Id == 0 ? 0 : command.SLBA);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[24..], command.NSID);
        return status;
    }

    void ResetLogs()
    {
        Array.Clear(errorLog);
        changedNamespaces = 0;
    }
}
