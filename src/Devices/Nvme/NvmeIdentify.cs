using System.Buffers.Binary;
using System.Text;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>Identify (NVMe 1.4 §5.15).</summary>
public sealed partial class NvmeController
{
    const int IdentifyLength = 4096;

    /// <summary>Error log entries kept.</summary>
    const int ErrorEntries = 64;

    NvmeStatus Identify(in NvmeCommand command, SubmissionQueue queue)
    {
        var page = scratch.AsSpan(0, IdentifyLength);
        page.Clear();
        var status = (byte)command.Cdw10 switch
        {
            NvmeCns.Controller => FillController(page),
            NvmeCns.Namespace or NvmeCns.AllocatedNamespace => FillNamespace(page, command.NSID),
            NvmeCns.ActiveNamespaces or NvmeCns.AllocatedNamespaces => FillNamespaceList(page, command.NSID),
            NvmeCns.NamespaceDescriptors => FillDescriptors(page, command.NSID),
            _ => Refuse(NvmeStatus.InvalidField),
        };
        return status == NvmeStatus.Success ? ToGuest(command, ref queue.Data, page) : status;
    }

    NvmeStatus FillController(Span<byte> page)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(page[IdentifyController.VID..], options.PciId.Vendor);
        BinaryPrimitives.WriteUInt16LittleEndian(page[IdentifyController.SSVID..], 0x1AF4);
        Text(page.Slice(IdentifyController.SN, 20), options.Serial);
        Text(page.Slice(IdentifyController.MN, 40), options.Model);
        Text(page.Slice(IdentifyController.FR, 8), FirmwareRevision);
        page[IdentifyController.RAB] = 6;
        page[IdentifyController.MDTS] = (byte)options.MaxTransferPages;
        BinaryPrimitives.WriteUInt32LittleEndian(page[IdentifyController.VER..], registers.Get32(NvmeRegister.VS));
        // Namespace attribute notices (8).
        BinaryPrimitives.WriteUInt32LittleEndian(page[IdentifyController.OAES..], 1 << 8);
        // 128-bit host identifiers (0).
        BinaryPrimitives.WriteUInt32LittleEndian(page[IdentifyController.CTRATT..], 1);
        page[IdentifyController.CNTRLTYPE] = 1;
        // Format NVM (1), Doorbell Buffer Config (8).
        BinaryPrimitives.WriteUInt16LittleEndian(page[IdentifyController.OACS..], 1 << 1 | 1 << 8);
        page[IdentifyController.ACL] = 3;
        page[IdentifyController.AERL] = EventRequests - 1;
        // One slot, read-only.
        page[IdentifyController.FRMW] = 1 << 1 | 1;
        // Commands Supported and Effects (1), extended data (2).
        page[IdentifyController.LPA] = 1 << 1 | 1 << 2;
        page[IdentifyController.ELPE] = ErrorEntries - 1;
        BinaryPrimitives.WriteUInt16LittleEndian(page[IdentifyController.WCTEMP..], WarningTemperature);
        BinaryPrimitives.WriteUInt16LittleEndian(page[IdentifyController.CCTEMP..], CriticalTemperature);
        page[IdentifyController.SQES] = 0x66;
        page[IdentifyController.CQES] = 0x44;
        BinaryPrimitives.WriteUInt32LittleEndian(page[IdentifyController.NN..], (uint)namespaces.Length);
        // Compare (0), Write Uncorrectable (1), Dataset Management (2), Write Zeroes (3), Select (4), Timestamp (6), Verify (7).
        BinaryPrimitives.WriteUInt16LittleEndian(page[IdentifyController.ONCS..], 0xDF);
        // A volatile write cache (0); Flush may name all namespaces (2:1).
        page[IdentifyController.VWC] = 7;
        // SGLs of any alignment (0), longer than the data (18).
        BinaryPrimitives.WriteUInt32LittleEndian(page[IdentifyController.SGLS..], 1 << 18 | 1);
        Encoding.ASCII.GetBytes($"nqn.2014-08.org.nvmexpress:uuid:{MakeId(options.Serial, 0)}", page[IdentifyController.SUBNQN..]);
        // Power state 0: at most 25 W, 16 us to enter, 4 us to leave.
        BinaryPrimitives.WriteUInt16LittleEndian(page[IdentifyController.PSD0..], 2500);
        BinaryPrimitives.WriteUInt32LittleEndian(page[(IdentifyController.PSD0 + 4)..], 16);
        BinaryPrimitives.WriteUInt32LittleEndian(page[(IdentifyController.PSD0 + 8)..], 4);
        return NvmeStatus.Success;
    }

    NvmeStatus FillNamespace(Span<byte> page, uint nsid)
    {
        // The broadcast id asks for what all namespaces have in common: the formats.
        var space = nsid == AllNamespaces ? namespaces[0] : Find(nsid);
        if (space == null)
        {
            return Refuse(NvmeStatus.InvalidNamespace);
        }

        page[IdentifyNamespace.NLBAF] = 1;
        Format(page[IdentifyNamespace.LBAF0..], 9, relativePerformance: 1);
        Format(page[(IdentifyNamespace.LBAF0 + 4)..], 12, relativePerformance: 0);
        if (nsid == AllNamespaces)
        {
            return NvmeStatus.Success;
        }

        BinaryPrimitives.WriteUInt64LittleEndian(page[IdentifyNamespace.NSZE..], space.Blocks);
        BinaryPrimitives.WriteUInt64LittleEndian(page[IdentifyNamespace.NCAP..], space.Blocks);
        BinaryPrimitives.WriteUInt64LittleEndian(page[IdentifyNamespace.NUSE..], space.Blocks);
        page[IdentifyNamespace.FLBAS] = (byte)(space.BlockShift == 12 ? 1 : 0);
        page[IdentifyNamespace.NSATTR] = (byte)(space.IsReadOnly ? 1 : 0);
        space.Id.TryWriteBytes(page.Slice(IdentifyNamespace.NGUID, 16), bigEndian: true, out _);
        return NvmeStatus.Success;
    }

    NvmeStatus FillNamespaceList(Span<byte> page, uint after)
    {
        if (after >= AllNamespaces - 1)
        {
            return Refuse(NvmeStatus.InvalidNamespace);
        }

        foreach (var space in namespaces)
        {
            if (space.Nsid > after)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(page, space.Nsid);
                page = page[4..];
            }
        }

        return NvmeStatus.Success;
    }

    NvmeStatus FillDescriptors(Span<byte> page, uint nsid)
    {
        if (Find(nsid) is not { } space)
        {
            return Refuse(NvmeStatus.InvalidNamespace);
        }

        // Type 2: NGUID; type 3: UUID; both 16 bytes.
        for (byte type = 2; type <= 3; type++)
        {
            page[0] = type;
            page[1] = 16;
            space.Id.TryWriteBytes(page.Slice(4, 16), bigEndian: true, out _);
            page = page[20..];
        }

        return NvmeStatus.Success;
    }

    static void Format(Span<byte> entry, int blockShift, byte relativePerformance) =>
        (entry[2], entry[3]) = ((byte)blockShift, relativePerformance);

    static void Text(Span<byte> field, string text)
    {
        field.Fill((byte)' ');
        Encoding.ASCII.GetBytes(text, field);
    }
}
