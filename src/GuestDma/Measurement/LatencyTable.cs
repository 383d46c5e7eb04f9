namespace Vmm.GuestDma.Measurement;

/// <summary>Distribution of latencies: buckets of an eighth of a power of two, so every figure is within 12.5 %.</summary>
public sealed class LatencyTable
{
    const int Steps = 8;

    readonly ulong[] counts = new ulong[64 * Steps];

    /// <summary>Samples.</summary>
    public ulong Count { get; private set; }

    /// <summary>Largest sample, in cycles.</summary>
    public ulong Largest { get; private set; }

    /// <summary>Adds a sample, in cycles.</summary>
    public void Add(ulong cycles)
    {
        counts[Bucket(cycles)]++;
        Count++;
        Largest = Math.Max(Largest, cycles);
    }

    /// <summary>Upper bound of the bucket that holds a share of all samples, in cycles; at most the largest sample.</summary>
    /// <param name="thousandths">999 for the 99.9th percentile.</param>
    public ulong Percentile(int thousandths)
    {
        var wanted = (Count * (ulong)thousandths + 999) / 1000;
        ulong sum = 0;
        for (var i = 0; i < counts.Length; i++)
        {
            sum += counts[i];
            if (sum >= wanted && sum > 0)
            {
                return Math.Min(Largest, Upper(i));
            }
        }

        return Largest;
    }

    /// <summary>Buckets that hold samples: upper bound in cycles, and number.</summary>
    public IEnumerable<(ulong Upper, ulong Count)> Buckets
    {
        get
        {
            for (var i = 0; i < counts.Length; i++)
            {
                if (counts[i] != 0)
                {
                    yield return (Upper(i), counts[i]);
                }
            }
        }
    }

    static int Bucket(ulong cycles)
    {
        var log = System.Numerics.BitOperations.Log2(cycles | 1);
        return log < 3 ? (int)cycles : log * Steps + (int)(cycles >> log - 3 & Steps - 1);
    }

    static ulong Upper(int bucket) =>
        bucket < 3 * Steps ? (ulong)bucket : (ulong)(Steps + bucket % Steps + 1) << bucket / Steps - 3;
}
