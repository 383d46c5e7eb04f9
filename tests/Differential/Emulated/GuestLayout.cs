using Vmm.Differential.Cases;

namespace Vmm.Differential.Emulated;

/// <summary>Guest-physical and supervisor addresses of the emulated machine that stands for a user-mode process.</summary>
internal static class GuestLayout
{
    public const ulong RamBytes = 16 << 20;

    /// <summary>Supervisor view of physical memory.</summary>
    public const ulong Kernel = 0xFFFF_8000_0000_0000;

    public const ulong PageTables = 0x10_0000, Gdt = 0x1000, Idt = 0x2000, Tss = 0x3000, Handlers = 0x4000, StackTop = 0x8000, ExitPage = 0x9000;
    public const ulong SandboxPages = 0x1_0000, Code = 0x2_0000;

    /// <summary>Not RAM: a store here ends a run.</summary>
    public const ulong StopDevice = 0xD000_0000;

    /// <summary>Where user code sees <see cref="StopDevice"/>; no sandbox address comes near.</summary>
    public const ulong StopAddress = 0x7000_0000;

    public const int HandlerBytes = 16;

    public const ushort KernelCode32 = 0x08, KernelCode = 0x10, KernelData = 0x18, UserCode32 = 0x20, TaskState = 0x40;

    /// <summary>Vectors that push an error code.</summary>
    public static bool PushesError(int vector) => vector is 8 or >= 10 and <= 14 or 17;

    /// <summary>Physical page of each backed sandbox page.</summary>
    public static ulong Physical(int backing) => SandboxPages + (ulong)(backing * Sandbox.PageBytes);
}
