using Vmm.Control.Iommus;
using Vmm.Guests.Kit;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Memory;
using Xunit;

namespace Vmm.Guests.Faults;

/// <summary>Debian's cloud kernel at a shell, with an NVMe disk behind VT-d, booted once and forked for every test.</summary>
public sealed class FaultGuests : IDisposable
{
    /// <summary>The disk.</summary>
    public static readonly Bdf Disk = new(0, 3, 0);

    readonly Lazy<MachineImage> image = new(Boot);

    static readonly byte[] Contents = Random(7);

    static byte[] Random(int seed)
    {
        var bytes = new byte[4 << 20];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

#pragma warning disable CA5351 // The guest's busybox offers it; nothing secret depends on it.
    /// <summary>MD5 of the first half of the disk, in hexadecimal.</summary>
    public static string FirstHalf { get; } = Convert.ToHexStringLower(System.Security.Cryptography.MD5.HashData(Contents.AsSpan(0, Contents.Length / 2)));
#pragma warning restore CA5351

    static MachineImage Boot()
    {
        using var backend = new MemoryBlockBackend("disk", Contents);
        var config = new MachineConfig { MemoryBytes = 128 << 20, Vtd = new(), Disks = [new(() => backend.Fork())] };
        using var shell = new GuestShell(new(Kernel.Cloud, config, GuestShell.Init, "iommu.strict=1 nvme_core.io_timeout=2 nvme_core.max_retries=1"));
        shell.Expect(GuestShell.Ready);
        return shell.Machine.Freeze();
    }

    internal GuestShell Fork() => new(Guest.Fork(image.Value));

    /// <summary>Pages that the device may write now, by the tables of the unit.</summary>
    internal static HashSet<ulong> Writable(VirtualMachine machine)
    {
        var pages = new HashSet<ulong>();
        var dump = new TableDump(new(Disk, new Iova(0), DmaAccess.Read), 1_000_000);
        while (!dump.IsDone)
        {
            foreach (var mapping in dump.Next(IIommuView.Of(machine)!, 4096).Mappings.Where(m => m.Writable))
            {
                for (ulong at = 0; at < mapping.Length; at += GuestMemory.PageSize)
                {
                    pages.Add(mapping.Address + at);
                }
            }
        }

        return pages;
    }

    /// <summary>
    /// The same request, once broken by <paramref name="action"/> and once without effect, in two forks that are the same until
    /// then: what differs in RAM afterwards is what the fault did, and has to lie in pages that the device may write.
    /// </summary>
    internal static void AssertMemory(Func<GuestShell> fork, FaultMatch match, FaultAction action, FaultAction harmless, string command, Func<VirtualMachine, HashSet<ulong>> writable)
    {
        using var broken = StopAtFiring(fork(), match, action, command);
        using var intact = StopAtFiring(fork(), match, harmless, command);
        Assert.Equal(intact.Machine.Instructions, broken.Machine.Instructions);
        var allowed = writable(intact.Machine);
        Assert.NotEmpty(allowed);
        Assert.Empty(Differences(broken.Machine, intact.Machine).Except(allowed));
    }

    static GuestShell StopAtFiring(GuestShell shell, FaultMatch match, FaultAction action, string command)
    {
        shell.Machine.Faults.Arm(new("rule", match, action));
        shell.Machine.Faults.Fired = _ => shell.Machine.StopHere("fired");
        shell.Type(command);
        Assert.Equal(StopCause.Requested, shell.Machine.Run(shell.Machine.Now + 8 * shell.Machine.Clock.Hertz).Cause);
        return shell;
    }

    /// <summary>Addresses of RAM pages whose contents differ.</summary>
    internal static List<ulong> Differences(VirtualMachine a, VirtualMachine b)
    {
        var pages = new List<ulong>();
        for (var i = 0; i < a.Memory.PageCount; i++)
        {
            if (!a.Memory.Page(i).SequenceEqual(b.Memory.Page(i)))
            {
                pages.Add((ulong)i * GuestMemory.PageSize);
            }
        }

        return pages;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (image.IsValueCreated)
        {
            image.Value.Dispose();
        }
    }
}
