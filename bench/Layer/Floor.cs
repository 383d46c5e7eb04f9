using BenchmarkDotNet.Attributes;

namespace Vmm.Bench.Layer;

/// <summary>What no layer can undercut that finds a buffer and copies it: a dictionary and a copy of 4 KiB.</summary>
[MemoryDiagnoser]
public class Floor
{
    const int Buffers = 64, Operations = 20_000;

    readonly Dictionary<ulong, byte[]> table = Enumerable.Range(0, Buffers).ToDictionary(static i => (ulong)i << 12, static _ => new byte[4096]);
    readonly byte[] to = new byte[4096];

    /// <summary>Look-up and copy.</summary>
    [Benchmark(OperationsPerInvoke = Operations)]
    public void DictionaryAndCopy()
    {
        for (var i = 0; i < Operations; i++)
        {
            table[(ulong)(i % Buffers) << 12].AsSpan().CopyTo(to);
        }
    }
}
