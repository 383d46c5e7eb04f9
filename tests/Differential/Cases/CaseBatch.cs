using System.Runtime.InteropServices;
using Vmm.Differential.Generation;

namespace Vmm.Differential.Cases;

/// <summary>Starting states and code of up to <see cref="Sandbox.Slots"/> cases.</summary>
internal sealed unsafe class CaseBatch : IDisposable
{
    public CaseBatch()
    {
        States = (CaseState*)NativeMemory.AlignedAlloc((nuint)(Sandbox.Slots * CaseState.Bytes), 64);
        Code = (byte*)NativeMemory.AlignedAlloc(Sandbox.Slots * Sandbox.SlotBytes, 64);
        NativeMemory.Clear(Code, Sandbox.Slots * Sandbox.SlotBytes);
        for (var i = 0; i < Sandbox.Slots; i++)
        {
            Sequences[i] = new Sequence();
        }
    }

    public CaseState* States { get; }

    /// <summary>Code slots, back to back, as they appear at <see cref="Sandbox.CodeBase"/>.</summary>
    public byte* Code { get; }

    /// <summary>Cases in use.</summary>
    public int Count { get; set; }

    /// <summary>Slots in use.</summary>
    public int SlotCount { get; set; }

    /// <summary>What is in each slot.</summary>
    public Sequence[] Sequences { get; } = new Sequence[Sandbox.Slots];

    /// <summary>Slot of each case.</summary>
    public int[] SlotOf { get; } = new int[Sandbox.Slots];

    /// <summary>Sandbox offset of each case's last memory operand.</summary>
    public int[] PlaceOf { get; } = new int[Sandbox.Slots];

    public Sequence SequenceOf(int index) => Sequences[SlotOf[index]];

    public void Dispose()
    {
        NativeMemory.AlignedFree(States);
        NativeMemory.AlignedFree(Code);
    }
}
