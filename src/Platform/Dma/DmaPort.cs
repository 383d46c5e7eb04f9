using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vmm.Platform.Bus;
using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;

namespace Vmm.Platform.Dma;

/// <summary>
/// What an address means to one device: its only way to memory and to interrupts. Transfers are split at 4 KiB edges and
/// each piece goes through the IOMMU, if there is one; a failing transfer leaves the pieces before the failure done, as on
/// the wire. Nothing here allocates or throws.
/// </summary>
public sealed partial class DmaPort
{
    const int LineBytes = 64;

    readonly DmaFabric fabric;
    readonly BusRegion?[] own = new BusRegion?[6];
    IDmaTranslator? translator;
    DmaPageCache? pages;
    uint epoch = 1;
    DmaCursor common;
    DmaCounters counters;

    /// <param name="fabric">The machine's fabric.</param>
    /// <param name="requester">The device's requester id.</param>
    public DmaPort(DmaFabric fabric, Bdf requester)
    {
        this.fabric = fabric;
        Requester = requester;
        fabric.Attach(this);
        FaultsChanged();
    }

    /// <summary>Source id of every transaction.</summary>
    public Bdf Requester { get; }

    /// <summary>The machine's fabric.</summary>
    public DmaFabric Fabric => fabric;

    /// <summary>The IOMMU in front of this device; null means that addresses are guest-physical.</summary>
    public IDmaTranslator? Translator
    {
        get => translator;
        set
        {
            translator = value;
            pages ??= value == null ? null : new();
            epoch++;
        }
    }

    /// <summary>Bus Master Enable (PCI §6.2.2): while false, everything is refused. Devices that are not PCI leave it true.</summary>
    public bool BusMaster { get; set; } = true;

    /// <summary>The account that transfers are charged to, or null.</summary>
    public LedgerAccount? Account { get; init; }

    /// <summary>What the device did so far.</summary>
    public ref readonly DmaCounters Counters => ref counters;

    /// <summary>
    /// Low half: the translator's generation; high half: changes of the translator itself. Never 0, so an empty cursor
    /// holds nothing.
    /// </summary>
    ulong Stamp => (ulong)epoch << 32 | (translator?.Generation ?? 0);

    /// <summary>Names a mapped window of the device itself; DMA that resolves to it is refused.</summary>
    internal void SetOwnRegion(int bar, BusRegion? region) => own[bar] = region;

    /// <summary>Reads bytes. False: blocked; <paramref name="destination"/> is then undefined.</summary>
    public bool TryRead(Iova address, Span<byte> destination) => TryRead(ref common, address, destination);

    /// <summary>Writes bytes. False: blocked; pages before the failing one are written.</summary>
    public bool TryWrite(Iova address, ReadOnlySpan<byte> source) => TryWrite(ref common, address, source);

    /// <summary>Reads a little-endian value.</summary>
    public bool TryRead<T>(Iova address, out T value)
        where T : unmanaged => TryRead(ref common, address, out value);

    /// <summary>Writes a little-endian value.</summary>
    public bool TryWrite<T>(Iova address, T value)
        where T : unmanaged => TryWrite(ref common, address, value);

    /// <summary>Reads a little-endian value on a stream.</summary>
    public bool TryRead<T>(ref DmaCursor cursor, Iova address, out T value)
        where T : unmanaged
    {
        value = default;
        return TryRead(ref cursor, address, MemoryMarshal.AsBytes(new Span<T>(ref value)));
    }

    /// <summary>Writes a little-endian value on a stream.</summary>
    public bool TryWrite<T>(ref DmaCursor cursor, Iova address, T value)
        where T : unmanaged => TryWrite(ref cursor, address, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    /// <summary>Reads bytes on a stream. False: blocked.</summary>
    public bool TryRead(ref DmaCursor cursor, Iova address, Span<byte> destination)
    {
        while (destination.Length > 0)
        {
            var length = PieceLength(address, destination.Length);
            var piece = destination[..length];
            if (!(IsReadWatched(cursor, address, length) ? fabric.Faults!.Read(this, ref cursor, address, piece) : ReadPiece(ref cursor, address, piece)))
            {
                return false;
            }

            address += (ulong)length;
            destination = destination[length..];
        }

        return true;
    }

    /// <summary>Writes bytes on a stream. False: blocked.</summary>
    public bool TryWrite(ref DmaCursor cursor, Iova address, ReadOnlySpan<byte> source)
    {
        while (source.Length > 0)
        {
            var length = PieceLength(address, source.Length);
            var piece = source[..length];
            if (!(IsWriteWatched(cursor, address, length) && !IsInterrupt(cursor, address) ? fabric.Faults!.Write(this, ref cursor, address, piece) : WritePiece(ref cursor, address, piece)))
            {
                return false;
            }

            address += (ulong)length;
            source = source[length..];
        }

        return true;
    }

    /// <summary>
    /// A window on RAM for a bulk copy in place: at least one byte and at most <paramref name="length"/>, never past the
    /// 4 KiB page. Counts the bytes as transferred. False when blocked; also when the address is not RAM, and then
    /// <see cref="TryRead(Iova, Span{byte})"/> or <see cref="TryWrite(Iova, ReadOnlySpan{byte})"/> decides.
    /// The window is valid until the device returns to the machine loop.
    /// </summary>
    public bool TryGetWindow(ref DmaCursor cursor, Iova address, int length, DmaAccess access, out Span<byte> window) =>
        TryGetWindow(ref cursor, address, length, access, out window, out _);

    /// <summary>The same; <paramref name="blocked"/> tells that the request was made and refused, and must not be made again.</summary>
    public bool TryGetWindow(ref DmaCursor cursor, Iova address, int length, DmaAccess access, out Span<byte> window, out bool blocked)
    {
        window = default;
        blocked = false;
        length = PieceLength(address, length);
        var forWrite = access == DmaAccess.Write;
        if (length <= 0 || (forWrite ? IsWriteWatched(cursor, address, length) : IsReadWatched(cursor, address, length)) || IsInterrupt(cursor, address))
        {
            return false;
        }

        blocked = !TryResolve(ref cursor, address, forWrite ? DmaAccess.Write : DmaAccess.Read, out var target)
            || IsPoisoned(target, forWrite ? PoisonAccess.DmaWrite : PoisonAccess.DmaRead);
        if (blocked || !fabric.Memory.TryGetSpan(target, length, forWrite, out window))
        {
            return false;
        }

        if (forWrite)
        {
            CountWrite(length);
        }
        else
        {
            CountRead(length);
        }

        return true;
    }

    /// <summary>
    /// Sends an interrupt message. One whose address is outside 0xFEEx_xxxx is an ordinary 4-byte memory write, as on the
    /// wire. False: blocked.
    /// </summary>
    public bool Raise(MsiMessage message)
    {
        if (!IsInterruptAddress(message.Address))
        {
            return TryWrite(new Iova(message.Address), message.Data);
        }

        if (!BusMaster)
        {
            return RefuseBusMaster();
        }

        if (fabric.Faults?.IsArmed(FaultPoint.Interrupt) == true && !fabric.Faults.TryPass(this, ref message, out var blocked))
        {
            return !blocked || RefuseTranslation();
        }

        return Send(message);
    }

    bool Send(MsiMessage message)
    {
        if (translator != null && !translator.TryRemap(Requester, message, out message))
        {
            return RefuseTranslation();
        }

        counters.Interrupts++;
        if (!message.IsAbsorbed)
        {
            fabric.Deliver(message);
        }

        return true;
    }

    /// <summary>
    /// Addresses 0xFEE0_0000 to 0xFEEF_FFFF: writes there are interrupt messages, decided before any translation
    /// (VT-d §3.14; SDM 3A §11.11.1).
    /// </summary>
    public static bool IsInterruptAddress(ulong address) => address >> 20 == 0xFEE;

    static bool IsInterrupt(in DmaCursor cursor, Iova address) => !cursor.HasPasid && IsInterruptAddress(address.Value);

    static int PieceLength(Iova address, int length) => Math.Min(length, 4096 - address.PageOffset);

    /// <summary>Reads within one page, asking no rule about the transfer.</summary>
    internal bool ReadPiece(ref DmaCursor cursor, Iova address, Span<byte> destination)
    {
        if (IsInterrupt(cursor, address))
        {
            return RefuseInterrupt(address, DmaAccess.Read);
        }

        if (!TryResolve(ref cursor, address, DmaAccess.Read, out var target) || IsPoisoned(target, PoisonAccess.DmaRead) ||
            !fabric.Memory.TryRead(target, destination) && !RefusePeerRead(target, destination.Length))
        {
            return false;
        }

        CountRead(destination.Length);
        return true;
    }

    /// <summary>Writes within one page, asking no rule about the transfer.</summary>
    internal bool WritePiece(ref DmaCursor cursor, Iova address, ReadOnlySpan<byte> source)
    {
        if (IsInterrupt(cursor, address))
        {
            // Only an aligned doubleword is a message; any other request to the range is unsupported (VT-d §3.14).
            return source.Length == 4 && (address.Value & 3) == 0
                ? Raise(new(address.Value, MemoryMarshal.Read<uint>(source)))
                : RefuseInterrupt(address, DmaAccess.Write);
        }

        if (!TryResolve(ref cursor, address, DmaAccess.Write, out var target) || IsPoisoned(target, PoisonAccess.DmaWrite) ||
            !fabric.Memory.TryWrite(target, source) && !TryWritePeer(target, source))
        {
            return false;
        }

        CountWrite(source.Length);
        return true;
    }

    /// <summary>A read of poisoned memory ends in a poisoned completion (PCIe §2.7.2): nothing is transferred. A write goes through.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    bool IsPoisoned(Gpa target, PoisonAccess access) => fabric.Memory.PoisonedPages != 0 && TouchesPoison(target, access);

    bool TouchesPoison(Gpa target, PoisonAccess access)
    {
        if (!fabric.Memory.IsPoisoned(target))
        {
            return false;
        }

        fabric.Memory.PoisonObserver?.Touched(access, Requester.Value, target);
        if (access != PoisonAccess.DmaRead)
        {
            return false;
        }

        counters.BlockedByPoison++;
        return !Refuse();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    bool TryResolve(ref DmaCursor cursor, Iova address, DmaAccess access, out Gpa target)
    {
        target = default;
        if (!BusMaster)
        {
            return RefuseBusMaster();
        }

        if (IsTranslationWatched(cursor, address, access) && IsBlockedByRule(cursor, address, access))
        {
            return false;
        }

        // The stamp is taken first: what invalidates during a walk also invalidates its result.
        var stamp = Stamp;
        if (cursor.Holds(address.Value, stamp, access))
        {
            counters.KeptTranslations++;
            target = new(cursor.Target + (address.Value - cursor.Start));
            return true;
        }

        return TryTranslate(ref cursor, address, access, stamp, out target);
    }

    bool TryTranslate(ref DmaCursor cursor, Iova address, DmaAccess access, ulong stamp, out Gpa target)
    {
        target = new(address.Value);
        if (translator == null)
        {
            return !IsInterruptAddress(address.Value) || Refuse();
        }

        var plain = !cursor.HasPasid;
        if (plain && pages!.TryFind(address.Value, stamp, access, out target))
        {
            counters.KeptTranslations++;
            return true;
        }

        counters.Translations++;
        if (!translator.TryTranslate(new(Requester, address, access, cursor.Pasid, cursor.HasPasid), out var window))
        {
            return RefuseTranslation();
        }

        target = window.Address;
        if (window.Length < 4096 - (ulong)address.PageOffset || IsInterruptAddress(target.Value))
        {
            return Refuse();
        }

        cursor.Keep(address, window, stamp);
        if (plain)
        {
            pages!.Keep(address.Value, window, stamp);
        }

        return true;
    }

    /// <summary>A read of MMIO would enter the other device from within this one, so it ends as an unsupported request.</summary>
    bool RefusePeerRead(Gpa target, int length)
    {
        if (IsOwn(target, length))
        {
            counters.BlockedOwnBar++;
        }

        return Refuse();
    }

    bool TryWritePeer(Gpa target, ReadOnlySpan<byte> source)
    {
        if (IsOwn(target, source.Length))
        {
            counters.BlockedOwnBar++;
            return Refuse();
        }

        // A translation that ends in the interrupt range is never a message (VT-d §3.14).
        if (IsInterruptAddress(target.Value) || fabric.Mmio.Find(target.Value) == null || !fabric.TryQueue(target.Value, source))
        {
            return Refuse();
        }

        counters.PeerWrites++;
        return true;
    }

    bool IsOwn(Gpa target, int length)
    {
        foreach (var region in own)
        {
            if (region != null && target.Value < region.Start + region.Length && region.Start < target.Value + (ulong)length)
            {
                return true;
            }
        }

        return false;
    }

    void CountRead(int length)
    {
        counters.Reads++;
        counters.BytesRead += (ulong)length;
        CountBytes(length);
    }

    void CountWrite(int length)
    {
        counters.Writes++;
        counters.BytesWritten += (ulong)length;
        CountBytes(length);
    }

    void CountBytes(int length)
    {
        fabric.Ledger?.Charge(Account, CostKind.DmaLine, (uint)(length + LineBytes - 1) / LineBytes);
        if (translator != null)
        {
            counters.BytesTranslated += (ulong)length;
        }
        else
        {
            counters.BytesBypassed += (ulong)length;
        }
    }

    /// <summary>A request to the interrupt range that is no message: the IOMMU, if there is one, records it.</summary>
    bool RefuseInterrupt(Iova address, DmaAccess access)
    {
        if (!BusMaster)
        {
            return RefuseBusMaster();
        }

        if (translator != null && !translator.TryTranslate(new(Requester, address, access), out _))
        {
            counters.BlockedByTranslator++;
        }

        return Refuse();
    }

    bool RefuseBusMaster()
    {
        counters.BlockedByBusMaster++;
        return Refuse();
    }

    bool RefuseTranslation()
    {
        counters.BlockedByTranslator++;
        return Refuse();
    }

    bool Refuse()
    {
        counters.Blocked++;
        return false;
    }
}
