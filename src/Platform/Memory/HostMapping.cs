using System.Runtime.InteropServices;

namespace Vmm.Platform.Memory;

/// <summary>
/// Host memory that backs guest RAM: page aligned, zero filled, committed lazily by the host.
/// A frozen image can be mapped copy-on-write any number of times, which is what makes a fork cheap.
/// </summary>
internal sealed unsafe class HostMapping : IDisposable
{
    const int ProtRead = 1, ProtWrite = 2;
    const int MapShared = 1, MapPrivate = 2, MapAnonymous = 0x20, MapNoReserve = 0x4000;
    static readonly nint Failed = -1;

    byte* pointer;
    readonly nuint length;

    HostMapping(byte* pointer, nuint length)
    {
        this.pointer = pointer;
        this.length = length;
    }

    /// <summary>First byte; null after disposal.</summary>
    public byte* Pointer => pointer;

    /// <summary>Length in bytes.</summary>
    public nuint Length => length;

    /// <summary>Fresh zero memory.</summary>
    /// <exception cref="InsufficientMemoryException">The host refused the mapping.</exception>
    public static HostMapping Zero(nuint length)
    {
        if (!OperatingSystem.IsLinux())
        {
            // Safe: AlignedAlloc returns at least `length` bytes or throws.
            var block = (byte*)NativeMemory.AlignedAlloc(length, 4096);
            NativeMemory.Clear(block, length);
            return new(block, length);
        }

        return Map(length, MapPrivate | MapAnonymous | MapNoReserve, -1);
    }

    /// <summary>A private, writable view of <paramref name="image"/>; writes never reach the image.</summary>
    /// <exception cref="InsufficientMemoryException">The host refused the mapping.</exception>
    public static HostMapping CopyOnWrite(FrozenImage image)
    {
        if (image.Descriptor >= 0)
        {
            return Map(image.Length, MapPrivate | MapNoReserve, image.Descriptor);
        }

        var copy = Zero(image.Length);
        Buffer.MemoryCopy(image.Pointer, copy.pointer, copy.length, image.Length);
        return copy;
    }

    static HostMapping Map(nuint length, int flags, int descriptor)
    {
        var address = mmap(0, length, ProtRead | ProtWrite, flags, descriptor, 0);
        return address == Failed
            ? throw new InsufficientMemoryException($"the host refused {length} bytes of guest memory")
            : new((byte*)address, length);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (pointer == null)
        {
            return;
        }

        if (OperatingSystem.IsLinux())
        {
            _ = munmap((nint)pointer, length);
        }
        else
        {
            NativeMemory.AlignedFree(pointer);
        }

        pointer = null;
        GC.SuppressFinalize(this);
    }

    ~HostMapping() => Dispose();

    /// <summary>An immutable copy of guest RAM that forks map; only pages that are not zero take memory.</summary>
    internal sealed class FrozenImage : IDisposable
    {
        readonly HostMapping? fallback;
        nint view;

        /// <summary>Copies the non-zero pages of <paramref name="source"/>.</summary>
        public FrozenImage(byte* source, nuint length)
        {
            Length = length;
            Descriptor = -1;
            if (OperatingSystem.IsLinux())
            {
                Descriptor = memfd_create("guest-ram", 1);
                if (Descriptor >= 0 && ftruncate(Descriptor, (long)length) == 0)
                {
                    view = mmap(0, length, ProtRead | ProtWrite, MapShared, Descriptor, 0);
                }

                if (Descriptor < 0 || view is 0 or -1)
                {
                    throw new InsufficientMemoryException($"the host refused a {length} byte snapshot of guest memory");
                }
            }
            else
            {
                fallback = Zero(length);
                view = (nint)fallback.Pointer;
            }

            for (nuint at = 0; at < length; at += 4096)
            {
                var page = new ReadOnlySpan<byte>(source + at, 4096);
                if (page.ContainsAnyExcept((byte)0))
                {
                    page.CopyTo(new Span<byte>((byte*)view + at, 4096));
                }
            }
        }

        /// <summary>File descriptor of the image, or -1 where the host has none to offer.</summary>
        public int Descriptor { get; private set; }

        /// <summary>Length in bytes.</summary>
        public nuint Length { get; }

        /// <summary>First byte of the image (read only by convention).</summary>
        public byte* Pointer => (byte*)view;

        /// <inheritdoc/>
        public void Dispose()
        {
            if (Descriptor >= 0)
            {
                _ = munmap(view, Length);
                _ = close(Descriptor);
                Descriptor = -1;
            }

            fallback?.Dispose();
            view = 0;
            GC.SuppressFinalize(this);
        }

        ~FrozenImage() => Dispose();
    }

    [DllImport("libc", SetLastError = true)]
    static extern nint mmap(nint address, nuint length, int protection, int flags, int descriptor, long offset);

    [DllImport("libc", SetLastError = true)]
    static extern int munmap(nint address, nuint length);

    [DllImport("libc", SetLastError = true, CharSet = CharSet.Ansi)]
    static extern int memfd_create([MarshalAs(UnmanagedType.LPUTF8Str)] string name, uint flags);

    [DllImport("libc", SetLastError = true)]
    static extern int ftruncate(int descriptor, long length);

    [DllImport("libc", SetLastError = true)]
    static extern int close(int descriptor);
}
