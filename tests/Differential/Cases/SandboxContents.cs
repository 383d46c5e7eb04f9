namespace Vmm.Differential.Cases;

/// <summary>What the sandbox pages hold before a batch: the same bytes for every runner.</summary>
internal static class SandboxContents
{
    static readonly byte[] Pattern = Make();

    public static void Fill(Span<byte> pages) => Pattern.CopyTo(pages);

    static byte[] Make()
    {
        var bytes = new byte[Sandbox.BackedPages.Length * Sandbox.PageBytes];
        var word = 0x9E37_79B9_7F4A_7C15ul;
        for (var i = 0; i < bytes.Length; i++)
        {
            word = word * 6364136223846793005 + 1442695040888963407;
            bytes[i] = (byte)(word >> 56);
        }

        return bytes;
    }
}
