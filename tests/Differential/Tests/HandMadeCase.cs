using Iced.Intel;
using Vmm.Differential.Cases;
using Vmm.Differential.Generation;

namespace Vmm.Differential.Tests;

/// <summary>One case written by hand: assembled code and a starting state.</summary>
internal sealed unsafe class HandMadeCase : IDisposable
{
    public HandMadeCase(Action<Assembler> write)
    {
        var assembler = new Assembler(64);
        write(assembler);
        assembler.jmp(Sandbox.Exit);
        var code = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(code), Sandbox.CodeBase);
        code.ToArray().CopyTo(new Span<byte>(Batch.Code, Sandbox.SlotBytes));
        Batch.Count = Batch.SlotCount = 1;
        new Span<byte>(Batch.States, CaseState.Bytes).Clear();
        State.Rip = Sandbox.CodeBase;
        State.Flags = 0x202;
        State.Gpr[4] = Sandbox.Low + Sandbox.Window + 256;
        *(ushort*)Batch.States->Fx = 0x37F;
        *(uint*)(Batch.States->Fx + 24) = 0x1F80;
    }

    public CaseBatch Batch { get; } = new();

    /// <summary>Where the case starts from.</summary>
    public ref CaseState State => ref Batch.States[0];

    public CaseState Run(ICaseRunner runner)
    {
        runner.Run(Batch);
        return runner.Results[0];
    }

    public void Dispose() => Batch.Dispose();
}
