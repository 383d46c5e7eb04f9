using Iced.Intel;

namespace Vmm.Bench.Image;

/// <summary>How a loop's speed is expressed.</summary>
internal enum Unit
{
    /// <summary>Guest instructions per microsecond.</summary>
    Mips,

    /// <summary>Bytes moved per nanosecond.</summary>
    GigabytesPerSecond,

    /// <summary>Nanoseconds per iteration.</summary>
    Nanoseconds,
}

/// <summary>One measured loop of the image.</summary>
/// <param name="Name">Short name, as the table shows it.</param>
/// <param name="Text">What one iteration does.</param>
/// <param name="Unit">How its speed is expressed.</param>
/// <param name="PerIteration">Instructions or bytes per iteration; 1 for <see cref="Unit.Nanoseconds"/>.</param>
/// <param name="Iterations">Iterations of a full run.</param>
/// <param name="Emit">Writes the loop: R15 holds the count on entry, RAX the checksum at the end.</param>
internal sealed record Loop(string Name, string Text, Unit Unit, int PerIteration, long Iterations, Action<Assembler> Emit)
{
    /// <summary>Speed of <paramref name="iterations"/> that took <paramref name="time"/>.</summary>
    public double Speed(long iterations, TimeSpan time)
    {
        var nanoseconds = Math.Max(time.TotalNanoseconds, 1);
        var work = (double)iterations * PerIteration;
        return Unit switch
        {
            Unit.Mips => work * 1000 / nanoseconds,
            Unit.GigabytesPerSecond => work / nanoseconds,
            _ => nanoseconds / work,
        };
    }

    /// <summary>How many times faster a speed is than another.</summary>
    public double Ratio(double speed, double other) => Unit == Unit.Nanoseconds ? other / speed : speed / other;
}
