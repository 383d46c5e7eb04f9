namespace Vmm.Bench.Image;

/// <summary>
/// Bytes that the image writes to port 0xE9. All have bit 7 set, so that a firmware's or a terminal's own text between them does no harm.
/// </summary>
internal static class Marker
{
    /// <summary>Plus the loop's number: it starts.</summary>
    public const byte Begin = 0x80;

    /// <summary>Plus the loop's number: it has ended.</summary>
    public const byte End = 0x90;

    /// <summary>Plus four bits of the checksum, most significant first.</summary>
    public const byte Digit = 0xA0;

    /// <summary>All loops are done.</summary>
    public const byte Done = 0xB0;
}
