using Vmm.Differential.Cases;

namespace Vmm.Differential.Native;

/// <summary>The file that test and helper both map.</summary>
internal static class SharedLayout
{
    /// <summary>Address of the whole file in the helper.</summary>
    public const ulong Base = 0x2000_0000;

    /// <summary>Control words: cases in the batch, input and output address of the case in progress.</summary>
    public const int CountAt = 0, InputAt = 8, OutputAt = 16;

    public const int PagesAt = 0x1000, CodeAt = 0x1_0000, CodeBytes = Sandbox.Slots * Sandbox.SlotBytes;
    public const int StatesAt = CodeAt + CodeBytes, StatesBytes = Sandbox.Slots * CaseState.Bytes;
    public const int ResultsAt = StatesAt + StatesBytes, Bytes = ResultsAt + StatesBytes;
}
