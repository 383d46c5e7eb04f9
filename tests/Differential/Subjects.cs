using Vmm.Differential.Cases;
using Vmm.Differential.Emulated;
using Vmm.Differential.Native;

namespace Vmm.Differential;

/// <summary>What is compared with the host.</summary>
internal static class Subjects
{
    /// <param name="name"><c>interpreter</c>, <c>interpreter-cold</c> (nothing stays decoded), or <c>host</c>: a second helper, which proves that the cases are deterministic.</param>
    [System.Runtime.Versioning.SupportedOSPlatform("linux")]
    public static ICaseRunner Create(string name) => name switch
    {
        "" or "interpreter" => new InterpreterRunner(),
        "interpreter-cold" => new InterpreterRunner(cold: true),
        "host" => new NativeRunner(),
        _ => throw new ArgumentException($"--subject {name}: unknown"),
    };
}
