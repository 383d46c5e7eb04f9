using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>Data between the guest and the controller's buffer, or the media directly.</summary>
public sealed partial class NvmeController
{
    readonly byte[] transfer;
    readonly byte[] listBuffer = new byte[DataPointer.ListBytes];

    /// <summary>Copies data of a command out of guest memory. On failure nothing of the buffer is to be used.</summary>
    NvmeStatus FromGuest(in NvmeCommand command, ref DmaCursor cursor, Span<byte> destination)
    {
        var data = new DataPointer(Function.Dma, command, destination.Length, pageSize, listBuffer);
        while (data.Remaining > 0)
        {
            var at = destination.Length - data.Remaining;
            var status = data.Next(out var address, out var length);
            if (status != NvmeStatus.Success)
            {
                return status;
            }

            if (!Function.Dma.TryRead(ref cursor, address, destination.Slice(at, length)))
            {
                return NvmeStatus.DataTransferError;
            }
        }

        return NvmeStatus.Success;
    }

    /// <summary>Copies data of a command into guest memory. What went before a failure stays written.</summary>
    NvmeStatus ToGuest(in NvmeCommand command, ref DmaCursor cursor, ReadOnlySpan<byte> source)
    {
        var data = new DataPointer(Function.Dma, command, source.Length, pageSize, listBuffer);
        while (data.Remaining > 0)
        {
            var at = source.Length - data.Remaining;
            var status = data.Next(out var address, out var length);
            if (status != NvmeStatus.Success)
            {
                return status;
            }

            if (!Function.Dma.TryWrite(ref cursor, address, source.Slice(at, length)))
            {
                return NvmeStatus.DataTransferError;
            }
        }

        return NvmeStatus.Success;
    }

    /// <summary>
    /// Guest memory of a command whose data is one piece within one 4 KiB page, as the common 4 KiB transfer: then no copy is needed.
    /// False when it is anything else: the general way then finds out. Blocked, the command has failed; asking again would
    /// make a second request on the bus, and a second fault record.
    /// </summary>
    bool TryGetWindow(in NvmeCommand command, ref DmaCursor cursor, int length, DmaAccess access, out Span<byte> window, out bool blocked)
    {
        var address = new Iova(command.PRP1);
        window = default;
        blocked = false;
        return command.PSDT == 0 && (command.PRP1 & 3) == 0 && length <= 4096 - address.PageOffset &&
            Function.Dma.TryGetWindow(ref cursor, address, length, access, out window, out blocked);
    }
}
