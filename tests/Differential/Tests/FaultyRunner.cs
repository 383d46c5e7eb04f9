using Iced.Intel;
using Vmm.Differential.Cases;

namespace Vmm.Differential.Tests;

/// <summary>A processor with one bug: a chosen instruction form leaves CF inverted.</summary>
internal sealed unsafe class FaultyRunner(ICaseRunner inner, Code guilty) : ICaseRunner
{
    public string Name => "faulty";

    public CaseState* Results => inner.Results;

    public ReadOnlySpan<byte> SandboxPages => inner.SandboxPages;

    CaseBatch running = null!;

    public void Start(CaseBatch batch)
    {
        running = batch;
        inner.Start(batch);
    }

    public void Finish()
    {
        inner.Finish();
        var batch = running;
        for (var i = 0; i < batch.Count; i++)
        {
            var slot = batch.Code + batch.SlotOf[i] * Sandbox.SlotBytes;
            if (Results[i].Trap == CaseState.NoTrap && Contains(slot))
            {
                Results[i].Flags ^= 1;
            }
        }
    }

    bool Contains(byte* slot)
    {
        var decoder = Decoder.Create(64, new ByteArrayCodeReader(new ReadOnlySpan<byte>(slot, Sandbox.SlotBytes).ToArray()), Sandbox.CodeBase);
        while (true)
        {
            var instruction = decoder.Decode();
            if (instruction.Code == guilty || instruction.Code == Code.Jmp_rel32_64 || instruction.IsInvalid)
            {
                return instruction.Code == guilty;
            }
        }
    }

    public void Dispose() => inner.Dispose();
}
