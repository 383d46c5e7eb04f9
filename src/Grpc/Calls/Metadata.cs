using System.Buffers;
using System.Collections;

namespace Vmm.Grpc;

/// <summary>
/// Metadata of a call, in order. Keys are lower-case ASCII; a key that ends in <c>-bin</c> carries bytes, any other
/// printable ASCII; <c>grpc-</c> is reserved, except for <c>grpc-status-details-bin</c>.
/// </summary>
public sealed class Metadata : IReadOnlyList<Metadata.Entry>
{
    static readonly SearchValues<char> KeyCharacters = SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789-_.");
    readonly List<Entry> entries = [];

    /// <summary>The key of a serialized google.rpc.Status.</summary>
    public const string StatusDetailsKey = "grpc-status-details-bin";

    /// <inheritdoc/>
    public int Count => entries.Count;

    /// <inheritdoc/>
    public Entry this[int index] => entries[index];

    /// <summary>Adds text. Fails with ArgumentException for a key or a value that cannot be sent.</summary>
    public void Add(string key, string value)
    {
        key = Key(key);
        if (IsBinary(key) || value.AsSpan().IndexOfAnyExceptInRange(' ', '~') >= 0)
        {
            throw new ArgumentException($"metadata '{key}' cannot carry this text", nameof(value));
        }

        entries.Add(new Entry(key, value, null));
    }

    /// <summary>Adds bytes under a key that ends in <c>-bin</c>. Fails with ArgumentException for another key.</summary>
    public void Add(string key, byte[] value)
    {
        key = Key(key);
        if (!IsBinary(key))
        {
            throw new ArgumentException($"metadata '{key}' cannot carry bytes: its key does not end in -bin", nameof(key));
        }

        entries.Add(new Entry(key, null, value));
    }

    /// <summary>The last text of a key, or null.</summary>
    public string? GetValue(string key) => entries.FindLast(e => e.Key == key).Value;

    /// <summary>The last bytes of a key, or null.</summary>
    public byte[]? GetValueBytes(string key) => entries.FindLast(e => e.Key == key).ValueBytes;

    /// <inheritdoc/>
    public IEnumerator<Entry> GetEnumerator() => entries.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    internal static bool IsBinary(string key) => key.EndsWith("-bin", StringComparison.Ordinal);

    internal void AddReceived(Entry entry) => entries.Add(entry);

    static string Key(string key)
    {
        key = key.ToLowerInvariant();
        if (key.Length == 0 || key.AsSpan().ContainsAnyExcept(KeyCharacters) || (key.StartsWith("grpc-", StringComparison.Ordinal) && key != StatusDetailsKey))
        {
            throw new ArgumentException($"'{key}' is not a key of metadata", nameof(key));
        }

        return key;
    }

    /// <summary>One key with text or bytes.</summary>
    /// <param name="Key">Lower-case key.</param>
    /// <param name="Value">Text, or null.</param>
    /// <param name="ValueBytes">Bytes, or null.</param>
    public readonly record struct Entry(string Key, string? Value, byte[]? ValueBytes);
}
