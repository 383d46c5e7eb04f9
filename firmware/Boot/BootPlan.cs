using Vmm.Platform.Memory;

namespace Vmm.Firmware.Boot;

/// <summary>Bytes for guest memory, followed by zeros.</summary>
/// <param name="Name">What it is, for listings.</param>
/// <param name="Address">Where it goes.</param>
/// <param name="Bytes">The bytes.</param>
/// <param name="Zeros">Zero bytes after them.</param>
public sealed record BootWrite(string Name, Gpa Address, ReadOnlyMemory<byte> Bytes, ulong Zeros = 0);

/// <summary>A module that is loaded beside the kernel: for Linux the initial RAM disk.</summary>
/// <param name="Text">Its command line (multiboot, PVH).</param>
/// <param name="Bytes">Its content.</param>
public sealed record BootModule(string Text, ReadOnlyMemory<byte> Bytes);

/// <summary>Everything that starting an image takes: what to write, where to start, what the guest was told of memory.</summary>
public sealed record BootPlan
{
    /// <summary>The protocol that was used.</summary>
    public required BootProtocol Protocol { get; init; }

    /// <summary>RAM of the machine that the plan is for, in bytes.</summary>
    public required ulong RamBytes { get; init; }

    /// <summary>State of the boot processor.</summary>
    public required CpuEntryState Entry { get; init; }

    /// <summary>The memory map that the guest is given.</summary>
    public required IReadOnlyList<MemoryRange> MemoryMap { get; init; }

    /// <summary>What to write, in order.</summary>
    public required IReadOnlyList<BootWrite> Writes { get; init; }

    /// <summary>Carries out the writes.</summary>
    /// <exception cref="ArgumentException">The memory is not of the size that the plan is for.</exception>
    public void WriteTo(GuestMemory memory)
    {
        if (memory.RamBytes != RamBytes)
        {
            throw new ArgumentException($"the plan is for {RamBytes} bytes of RAM, not {memory.RamBytes}", nameof(memory));
        }

        foreach (var write in Writes)
        {
            var end = write.Address + (ulong)write.Bytes.Length;
            if (!memory.TryWrite(write.Address, write.Bytes.Span) || !memory.IsRam(end, write.Zeros))
            {
                throw new ArgumentException($"{write.Name} at {write.Address} is not in RAM", nameof(memory));
            }

            Clear(memory, end, write.Zeros);
        }
    }

    /// <summary>Pages that are zero already are only read, so that the host need not commit them.</summary>
    static void Clear(GuestMemory memory, Gpa address, ulong length)
    {
        while (length > 0)
        {
            var part = (int)Math.Min(length, (ulong)(GuestMemory.PageSize - address.PageOffset));
            if (memory.TryGetSpan(address, part, forWrite: false, out var page) && page.ContainsAnyExcept((byte)0))
            {
                memory.NoteWrite(address, part);
                page.Clear();
            }

            address += (ulong)part;
            length -= (ulong)part;
        }
    }
}
