using System.Runtime.CompilerServices;

namespace Vmm.Platform.Memory;

/// <summary>Told when bytes of a watched page change, so that decoded code can be dropped.</summary>
public interface ICodeWatcher
{
    /// <summary>
    /// <paramref name="length"/> bytes at <paramref name="address"/> are about to change (one page at most).
    /// Returns false when the page holds no decoded code any more, so the watch ends.
    /// </summary>
    bool CodeWritten(Gpa address, int length);
}

/// <summary>
/// Bytes at guest-physical addresses: RAM below the 32-bit hole, RAM from 4 GiB on, and ROM.
/// Every access is bounds-checked; an access that is not wholly inside RAM or ROM returns false and changes nothing.
/// </summary>
public sealed unsafe class GuestMemory : IDisposable
{
    /// <summary>Page size in bytes of everything here.</summary>
    public const int PageSize = 4096;

    /// <summary>RAM never extends past this below 4 GiB: the rest is for MMIO.</summary>
    public const ulong LowRamLimit = 0xC000_0000;

    /// <summary>RAM that does not fit below <see cref="LowRamLimit"/> starts here.</summary>
    public const ulong HighRamStart = 0x1_0000_0000;

    const byte Watched = 1, WriteCached = 2, Poisoned = 4;

    HostMapping mapping;
    readonly byte[] pageFlagStore;
    readonly ulong lowBytes;
    readonly ulong highBytes;

    /// <summary>Creates zeroed RAM.</summary>
    /// <param name="ramBytes">Total RAM in bytes: a multiple of 4 KiB, at least 1 MiB.</param>
    /// <exception cref="ArgumentOutOfRangeException">The size is not a positive multiple of 4 KiB or is above 1 TiB.</exception>
    public GuestMemory(ulong ramBytes)
        : this(ramBytes, null)
    {
    }

    GuestMemory(ulong ramBytes, HostMapping.FrozenImage? image)
    {
        if (ramBytes < 1 << 20 || ramBytes % PageSize != 0 || ramBytes > 1ul << 40)
        {
            throw new ArgumentOutOfRangeException(nameof(ramBytes), ramBytes, "memory: a multiple of 4 KiB from 1 MiB to 1 TiB is needed");
        }

        RamBytes = ramBytes;
        lowBytes = Math.Min(ramBytes, LowRamLimit);
        highBytes = ramBytes - lowBytes;
        mapping = image == null ? HostMapping.Zero((nuint)ramBytes) : HostMapping.CopyOnWrite(image);
        // Pinned so that the engine may keep a raw pointer to it.
        pageFlagStore = GC.AllocateArray<byte>((int)(ramBytes / PageSize), pinned: true);
    }

    /// <summary>Total RAM in bytes.</summary>
    public ulong RamBytes { get; }

    /// <summary>RAM below the 32-bit hole, in bytes, from address 0.</summary>
    public ulong LowRamBytes => lowBytes;

    /// <summary>RAM at <see cref="HighRamStart"/>, in bytes.</summary>
    public ulong HighRamBytes => highBytes;

    /// <summary>Who is told of writes to watched pages; null when nobody decodes code.</summary>
    public ICodeWatcher? CodeWatcher { get; set; }

    /// <summary>Host address of RAM at <paramref name="gpa"/>, or null when the page is not RAM. Valid to the end of the page.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public byte* Pointer(ulong gpa)
    {
        if (gpa < lowBytes)
        {
            return mapping.Pointer + gpa;
        }

        var high = gpa - HighRamStart;
        return high < highBytes ? mapping.Pointer + lowBytes + high : null;
    }

    /// <summary>Guest-physical address of a host address that <see cref="Pointer"/> returned.</summary>
    public ulong PhysicalOf(byte* host)
    {
        var at = (ulong)(host - mapping.Pointer);
        return at < lowBytes ? at : at - lowBytes + HighRamStart;
    }

    /// <summary>True when all of the range is RAM.</summary>
    public bool IsRam(Gpa address, ulong length) =>
        length == 0 || Offset(address.Value, length) >= 0;

    /// <summary>Offset of the range in the mapping, or -1 when it is not wholly RAM.</summary>
    long Offset(ulong gpa, ulong length)
    {
        if (gpa < lowBytes && length <= lowBytes - gpa)
        {
            return (long)gpa;
        }

        var high = gpa - HighRamStart;
        return gpa >= HighRamStart && high < highBytes && length <= highBytes - high ? (long)(lowBytes + high) : -1;
    }

    /// <summary>Copies guest bytes out. False, and nothing copied, when the range is not wholly RAM.</summary>
    public bool TryRead(Gpa address, Span<byte> destination)
    {
        var at = Offset(address.Value, (ulong)destination.Length);
        if (at < 0)
        {
            return false;
        }

        // Safe: Offset proved the whole range inside the mapping.
        new ReadOnlySpan<byte>(mapping.Pointer + at, destination.Length).CopyTo(destination);
        return true;
    }

    /// <summary>Copies bytes in and drops decoded code they overwrite. False, and nothing written, when the range is not wholly RAM.</summary>
    public bool TryWrite(Gpa address, ReadOnlySpan<byte> source)
    {
        var at = Offset(address.Value, (ulong)source.Length);
        if (at < 0)
        {
            return false;
        }

        NoteWrite(address, source.Length);
        // Safe: Offset proved the whole range inside the mapping.
        source.CopyTo(new Span<byte>(mapping.Pointer + at, source.Length));
        return true;
    }

    /// <summary>Reads a little-endian value of any alignment.</summary>
    public bool TryRead<T>(Gpa address, out T value)
        where T : unmanaged
    {
        var at = Offset(address.Value, (ulong)sizeof(T));
        // Safe: Offset proved the whole value inside the mapping.
        value = at < 0 ? default : Unsafe.ReadUnaligned<T>(mapping.Pointer + at);
        return at >= 0;
    }

    /// <summary>Writes a little-endian value of any alignment.</summary>
    public bool TryWrite<T>(Gpa address, T value)
        where T : unmanaged
    {
        var at = Offset(address.Value, (ulong)sizeof(T));
        if (at < 0)
        {
            return false;
        }

        NoteWrite(address, sizeof(T));
        // Safe: Offset proved the whole value inside the mapping.
        Unsafe.WriteUnaligned(mapping.Pointer + at, value);
        return true;
    }

    /// <summary>
    /// Replaces an aligned 64-bit word if it still holds <paramref name="expected"/>; <paramref name="found"/> is what was there.
    /// False when the address is not RAM or not 8-byte aligned.
    /// </summary>
    public bool TryCompareExchange(Gpa address, ulong expected, ulong replacement, out ulong found)
    {
        var at = Offset(address.Value, 8);
        if (at < 0 || (at & 7) != 0)
        {
            found = 0;
            return false;
        }

        // Safe: Offset proved the word inside the mapping, and it is aligned.
        var word = (ulong*)(mapping.Pointer + at);
        found = *word;
        if (found == expected)
        {
            NoteWrite(address, 8);
            *word = replacement;
        }

        return true;
    }

    /// <summary>
    /// A window on RAM for bulk copies. The span may cross pages but not the 32-bit hole.
    /// With <paramref name="forWrite"/> the decoded code in the range is dropped first.
    /// </summary>
    public bool TryGetSpan(Gpa address, int length, bool forWrite, out Span<byte> window)
    {
        var at = length < 0 ? -1 : Offset(address.Value, (ulong)length);
        if (at < 0)
        {
            window = default;
            return false;
        }

        if (forWrite)
        {
            NoteWrite(address, length);
        }

        // Safe: Offset proved the whole range inside the mapping.
        window = new Span<byte>(mapping.Pointer + at, length);
        return true;
    }

    /// <summary>Tells the code watcher about bytes that are about to change. The range must be RAM.</summary>
    public void NoteWrite(Gpa address, int length)
    {
        var at = address.Value;
        while (length > 0)
        {
            var part = Math.Min(length, PageSize - (int)(at & (PageSize - 1)));
            ref var flags = ref pageFlagStore[PageIndex(at)];
            if ((flags & Watched) != 0 && CodeWatcher?.CodeWritten(new(at), part) != true)
            {
                flags &= unchecked((byte)~Watched);
            }

            at += (ulong)part;
            length -= part;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    int PageIndex(ulong gpa) => (int)((gpa < lowBytes ? gpa : gpa - HighRamStart + lowBytes) / PageSize);

    /// <summary>True when the RAM page holds decoded code.</summary>
    public bool IsWatched(Gpa page) => (pageFlagStore[PageIndex(page.Value)] & Watched) != 0;

    /// <summary>Watches a RAM page from now on. Returns true when a software TLB may still hold a writable entry for it.</summary>
    public bool Watch(Gpa page)
    {
        ref var flags = ref pageFlagStore[PageIndex(page.Value)];
        var cached = (flags & WriteCached) != 0;
        flags = (byte)(flags & Poisoned | Watched);
        return cached;
    }

    /// <summary>Ends the watch on a RAM page.</summary>
    public void Unwatch(Gpa page) => pageFlagStore[PageIndex(page.Value)] &= unchecked((byte)~Watched);

    /// <summary>Notes that a software TLB now holds a writable entry for a RAM page.</summary>
    public void NoteWriteCached(Gpa page) => pageFlagStore[PageIndex(page.Value)] |= WriteCached;

    /// <summary>Pages whose contents are lost (<see cref="Poison"/>).</summary>
    public int PoisonedPages { get; private set; }

    /// <summary>Who hears of accesses to poisoned pages; null when nobody does.</summary>
    public IPoisonObserver? PoisonObserver { get; set; }

    /// <summary>True when the RAM page is poisoned; false outside RAM.</summary>
    public bool IsPoisoned(Gpa address) => IsRam(address, 1) && (pageFlagStore[PageIndex(address.Value)] & Poisoned) != 0;

    /// <summary>
    /// Poisons a RAM page or heals it. The bytes stay; whoever accesses the page through a processor or a device asks first.
    /// Processors must forget their translations of it. True when that changed anything.
    /// </summary>
    public bool Poison(Gpa page, bool poisoned)
    {
        if (!IsRam(page, 1) || IsPoisoned(page) == poisoned)
        {
            return false;
        }

        pageFlagStore[PageIndex(page.Value)] ^= Poisoned;
        PoisonedPages += poisoned ? 1 : -1;
        return true;
    }

    /// <summary>All RAM, in address order without the hole: for hashing and saving. Do not write through it.</summary>
    public ReadOnlySpan<byte> Page(int index) => new(mapping.Pointer + (ulong)index * PageSize, PageSize);

    /// <summary>Number of RAM pages.</summary>
    public int PageCount => (int)(RamBytes / PageSize);

    /// <summary>Replaces one RAM page by index in address order. Used when a snapshot is loaded.</summary>
    public void LoadPage(int index, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != PageSize)
        {
            throw new ArgumentException("a page is 4096 bytes", nameof(bytes));
        }

        var at = (ulong)index * PageSize;
        NoteWrite(new(at < lowBytes ? at : at - lowBytes + HighRamStart), PageSize);
        bytes.CopyTo(new Span<byte>(mapping.Pointer + at, PageSize));
    }

    /// <summary>Freezes the contents; forks made from the result share its pages until they write.</summary>
    public MemoryImage Freeze() => new(RamBytes, new HostMapping.FrozenImage(mapping.Pointer, mapping.Length));

    /// <summary>Replaces all RAM by a copy-on-write view of a frozen image of the same size; decoded code is dropped.</summary>
    public void Adopt(MemoryImage image)
    {
        if (image.RamBytes != RamBytes)
        {
            throw new ArgumentException($"memory: the image has {image.RamBytes} bytes, the machine {RamBytes}", nameof(image));
        }

        for (var i = 0; i < pageFlagStore.Length; i++)
        {
            if ((pageFlagStore[i] & Watched) != 0)
            {
                var at = (ulong)i * PageSize;
                CodeWatcher?.CodeWritten(new(at < lowBytes ? at : at - lowBytes + HighRamStart), PageSize);
            }

            // Poison belongs to the memory chips, not to their contents.
            pageFlagStore[i] &= Poisoned;
        }

        var old = mapping;
        mapping = HostMapping.CopyOnWrite(image.Frozen);
        old.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose() => mapping.Dispose();
}

/// <summary>RAM frozen at one instant, shared by any number of forks.</summary>
public sealed class MemoryImage : IDisposable
{
    internal MemoryImage(ulong ramBytes, HostMapping.FrozenImage frozen)
    {
        RamBytes = ramBytes;
        Frozen = frozen;
    }

    /// <summary>RAM size in bytes.</summary>
    public ulong RamBytes { get; }

    internal HostMapping.FrozenImage Frozen { get; }

    /// <inheritdoc/>
    public void Dispose() => Frozen.Dispose();
}
