using Vmm.Bench.Image;

namespace Vmm.Bench.Engines;

/// <summary>Something that can run the image.</summary>
internal interface IEngine
{
    /// <summary>Name in the table.</summary>
    string Name { get; }

    /// <summary>Version, as the program itself reports it; null when it is not installed.</summary>
    string? Version { get; }

    /// <summary>Runs the image and returns what its loops took.</summary>
    /// <exception cref="EngineException">The engine did not run it to the end.</exception>
    IReadOnlyList<Measurement> Run(byte[] image, IReadOnlyList<Loop> loops);
}

/// <summary>An engine that failed.</summary>
internal sealed class EngineException(string message) : Exception(message);
