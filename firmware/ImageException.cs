namespace Vmm.Firmware;

/// <summary>An image, archive or option that somebody handed us cannot be used: one line that names the field and where it stands.</summary>
public sealed class ImageException : Exception
{
    /// <summary>Creates the error.</summary>
    /// <param name="field">The field that is wrong, in the words of the format's specification.</param>
    /// <param name="offset">Where it stands, in bytes from the start of what was being read; -1 when it is not about a place.</param>
    /// <param name="problem">What is wrong with it.</param>
    public ImageException(string field, long offset, string problem)
        : base(OneLine(offset < 0 ? $"{field}: {problem}" : $"{field} at offset 0x{offset:x}: {problem}"))
    {
        Field = field;
        Offset = offset;
        Problem = problem;
    }

    /// <summary>The field that is wrong.</summary>
    public string Field { get; }

    /// <summary>Offset in bytes, or -1.</summary>
    public long Offset { get; }

    /// <summary>What is wrong, without the place.</summary>
    public string Problem { get; }

    // Names from the image or the user may hold anything.
    static string OneLine(string text) => string.Concat(text.Select(c => char.IsControl(c) ? '?' : c));
}
