using Vmm.Bench.Image;

namespace Vmm.Bench.Engines;

/// <summary>What one loop took on one engine.</summary>
/// <param name="Time">Wall and CPU time.</param>
/// <param name="Checksum">What the loop computed.</param>
internal readonly record struct Measurement(Moment Time, ulong Checksum);

/// <summary>Turns the image's markers into measurements; every other byte is ignored.</summary>
internal sealed class MarkerReader(int loops, Func<Moment> now)
{
    readonly List<Measurement> measured = [];
    Moment begun;
    Moment taken;
    ulong checksum;
    int digits = 16;

    /// <summary>Measurements so far, in the order of the loops.</summary>
    public IReadOnlyList<Measurement> Measured => measured;

    /// <summary>The image has run all its loops.</summary>
    public bool IsDone { get; private set; }

    /// <summary>Takes output of the engine.</summary>
    public void Feed(ReadOnlySpan<byte> bytes)
    {
        foreach (var value in bytes)
        {
            Take(value);
        }
    }

    void Take(byte value)
    {
        if (value == Marker.Begin + measured.Count && measured.Count < loops)
        {
            begun = now();
        }
        else if (value == Marker.End + measured.Count && measured.Count < loops)
        {
            taken = now() - begun;
            checksum = 0;
            digits = 0;
        }
        else if ((value & 0xF0) == Marker.Digit && digits < 16)
        {
            checksum = checksum << 4 | value & 15u;
            if (++digits == 16)
            {
                measured.Add(new(taken, checksum));
            }
        }
        else if (value == Marker.Done && measured.Count == loops)
        {
            IsDone = true;
        }
    }
}
