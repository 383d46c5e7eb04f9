namespace Vmm.Differential.Cases;

/// <summary>
/// Address space that every runner offers to a case. Seven pages: none, writable, writable, read only, none, writable, none;
/// they appear twice, once below 2 GiB and once high in the user half, so that every address form can reach them.
/// </summary>
internal static class Sandbox
{
    public const int PageBytes = 4096, Pages = 7, WindowBytes = 768, EdgeBytes = 64;

    /// <summary>First virtual address of the two appearances.</summary>
    public const ulong Low = 0x1000_0000, High = 0x6F12_3456_7000;

    /// <summary>Case code: one slot for each sequence of a batch.</summary>
    public const ulong CodeBase = 0x0800_0000;
    public const int SlotBytes = 128, Slots = 1024;

    /// <summary>A case that reaches this address has ended.</summary>
    public const ulong Exit = 0x0040_1000;

    public const ulong FsBase = 0x12340, GsBase = 0x5670;

    /// <summary>Offsets in the sandbox.</summary>
    public const int Window = 2 * PageBytes - WindowBytes / 2, ReadOnly = 3 * PageBytes, Hole = 4 * PageBytes, Last = 5 * PageBytes,
        End = 6 * PageBytes;

    /// <summary>Sandbox offsets of the three edge pieces.</summary>
    public static ReadOnlySpan<int> EdgePieces => [ReadOnly - EdgeBytes, Last, End - EdgeBytes];

    /// <summary>Order of the backing pages: sandbox page numbers 1, 2, 3, 5.</summary>
    public static ReadOnlySpan<int> BackedPages => [1, 2, 3, 5];

    /// <summary>Selectors a 64-bit Linux process runs with.</summary>
    public const ushort UserCode = 0x33, UserData = 0x2B;
}
