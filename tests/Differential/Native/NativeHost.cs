using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace Vmm.Differential.Native;

/// <summary>Whether this host can run the helper.</summary>
internal static class NativeHost
{
    public const string Reason = "the native oracle needs an x86-64 Linux host";

    [SupportedOSPlatformGuard("linux")]
    public static bool IsSupported => OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64;
}
