using Vmm.Machine;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Xunit;

namespace Vmm.Guests.Kit;

/// <summary>
/// The remapping tables that a kernel has set up for one device, in guest memory (VT-d §9). Maps a page in them, with
/// lower tables of its own, and breaks an entry. Nothing of this is in the unit's caches before the device's first access.
/// </summary>
internal sealed class KernelTables
{
    readonly VirtualMachine machine;
    readonly bool scalable;
    readonly ulong root, context, directory, pasid;
    readonly ulong[] levels = new ulong[5];

    public KernelTables(VirtualMachine machine, Bdf device, bool scalable)
    {
        this.machine = machine;
        this.scalable = scalable;
        var register = new byte[8];
        machine.Iommu!.Read(0x20, register);
        var table = BitConverter.ToUInt64(register) & ~0xFFFul;
        // Scalable root entries have two halves: devices 0 to 15 and 16 to 31.
        root = table + device.Bus * 16ul + (scalable && device.Device >= 16 ? 8u : 0);
        context = (Peek(root) & ~0xFFFul) + (scalable ? (device.DevFn & 0x7Fu) * 32ul : device.DevFn * 16ul);
        if (scalable)
        {
            // RID_PASID is 0 or 1 with Linux; both fall into the first directory entry.
            directory = Peek(context) & ~0xFFFul;
            pasid = (Peek(directory) & ~0xFFFul) + (Peek(context + 8) & 0xFFFFF) * 64;
        }
    }

    ulong Top => scalable
        ? (Peek(pasid) >> 6 & 7) == 1 ? Peek(pasid + 16) & ~0xFFFul : Peek(pasid) & 0x000F_FFFF_FFFF_F000
        : Peek(context) & ~0xFFFul;

    /// <summary>Read and write in a second stage; present, writable, user in a first stage. Accessed and dirty are the hardware's.</summary>
    ulong Present => scalable && (Peek(pasid) >> 6 & 7) == 1 ? 7ul : 3;

    /// <summary>Maps a page; new tables lie from <paramref name="free"/> on.</summary>
    public void Map(ulong iova, ulong page, ulong free)
    {
        var table = Top;
        for (var level = 4; level >= 1; level--)
        {
            levels[level] = table + (iova >> (3 + 9 * level) & 0x1FF) * 8;
            var next = level == 1 ? page : free + (ulong)level * 4096;
            if (level > 1 && (Peek(levels[level]) & 3) != 0)
            {
                table = Peek(levels[level]) & 0x000F_FFFF_FFFF_F000;
                continue;
            }

            Poke(levels[level], next | Present | (level == 1 && Present == 7 ? 0x60u : Present == 7 ? 0x20u : 0));
            table = next;
        }
    }

    /// <summary>Breaks what <paramref name="what"/> says: an entry and how.</summary>
    public void Break(string what, ulong outside)
    {
        var words = what.Split(' ');
        switch (words)
        {
            case ["leaf", "read-only"]:
                Poke(levels[1], Peek(levels[1]) & ~2ul);
                break;
            case ["leaf", "write-only"]:
                Poke(levels[1], Peek(levels[1]) & ~1ul);
                break;
            case ["context", "type"]:
                Poke(context, Peek(context) | 3 << 2);
                break;
            case ["level", var level, var how]:
                Break(levels[int.Parse(level)], how, outside, 1ul << 51);
                break;
            case ["context", var how]:
                Break(context, how, outside, scalable ? 1ul << 5 : 1ul << 4);
                break;
            case ["root", var how]:
                Break(root, how, outside, 2);
                break;
            case ["directory", var how]:
                Break(directory, how, outside, 1ul << 2);
                break;
            case ["pasid", "entry", "reserved"]:
                Poke(pasid + 56, 1ul << 63);
                break;
            case ["pasid", "entry", var how]:
                Break(pasid, how, outside, 0);
                break;
        }
    }

    void Break(ulong entry, string how, ulong outside, ulong reserved) => Poke(entry, how switch
    {
        "clear" => 0,
        "outside" => Peek(entry) & 0xFFF | outside,
        _ => Peek(entry) | reserved,
    });

    ulong Peek(ulong address)
    {
        Assert.True(machine.Memory.TryRead(new Gpa(address), out ulong value), $"0x{address:x} is not memory");
        return value;
    }

    void Poke(ulong address, ulong value) => Assert.True(machine.Memory.TryWrite(new Gpa(address), value));
}
