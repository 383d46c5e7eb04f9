namespace Vmm.Bench.Engines;

/// <summary>A file that is deleted with its object.</summary>
internal sealed class TemporaryFile : IDisposable
{
    /// <summary>Writes the file.</summary>
    public TemporaryFile(string suffix, ReadOnlySpan<byte> content)
    {
        Path = System.IO.Path.Combine(System.IO.Path.GetTempPath(), System.IO.Path.GetRandomFileName() + suffix);
        File.WriteAllBytes(Path, content);
    }

    /// <summary>Where it is.</summary>
    public string Path { get; }

    /// <inheritdoc/>
    public void Dispose() => File.Delete(Path);
}
