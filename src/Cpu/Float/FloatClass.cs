namespace Vmm.Cpu.Float;

/// <summary>What an encoding stands for. NaN kinds compare above all numbers, and above them what the x87 no longer supports.</summary>
internal enum FloatClass : byte
{
    /// <summary>A zero.</summary>
    Zero,

    /// <summary>A number other than zero; denormals are normalised on the way in.</summary>
    Finite,

    /// <summary>An infinity.</summary>
    Infinity,

    /// <summary>A quiet NaN.</summary>
    QuietNaN,

    /// <summary>A signalling NaN.</summary>
    SignallingNaN,

    /// <summary>Unnormal, pseudo-NaN or pseudo-infinity (SDM vol. 1 §8.2.2).</summary>
    Unsupported,
}
