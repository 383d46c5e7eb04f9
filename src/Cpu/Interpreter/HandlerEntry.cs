using System.Runtime.InteropServices;

namespace Vmm.Cpu.Interpreter;

/// <summary>
/// Addresses of handlers without the runtime's stub in front of them: one jump less for every instruction.
/// A function pointer to a managed method leads to CoreCLR's fixup precode, <c>jmp [rip + disp32]</c>, whose target is inside
/// the stub itself until the method has been compiled and is the method's code from then on. Handlers carry
/// AggressiveOptimization: they are compiled once, without tiers, so the target never changes again. What does not look
/// exactly like that is left as it is.
/// </summary>
internal static unsafe class HandlerEntry
{
    const int StubBytes = 24;

    static readonly bool isKnownRuntime = RuntimeInformation.ProcessArchitecture == Architecture.X64 && Environment.Version.Major == 10;

    /// <summary>Replaces a handler that has been compiled by its code. False when it will lead to code later.</summary>
    public static bool TryResolve(ref nint handler)
    {
        var stub = (byte*)handler;
        if (!isKnownRuntime || stub[0] != 0xFF || stub[1] != 0x25)
        {
            return true;
        }

        var target = *(byte**)(stub + 6 + *(int*)(stub + 2));
        if (target >= stub && target < stub + StubBytes)
        {
            return false;
        }

        handler = (nint)target;
        return true;
    }
}
