using Vmm.Differential.Cases;
using Vmm.Differential.Comparison;
using Vmm.Differential.Generation;
using Vmm.Differential.Reporting;

namespace Vmm.Differential;

/// <summary>A failing case cut down to one instruction.</summary>
internal sealed record Shrunk(CodeEntry Entry, string Code, string Differences);

/// <summary>
/// Finds the instruction of a sequence that fails alone, starting from the state the oracle had reached before it.
/// </summary>
internal sealed unsafe class Shrinker : IDisposable
{
    const byte Nop = 0x90;

    readonly ICaseRunner oracle;
    readonly ICaseRunner subject;
    readonly CaseBatch small = new();
    readonly CaseState[] kept = new CaseState[3];

    public Shrinker(ICaseRunner oracle, ICaseRunner subject)
    {
        this.oracle = oracle;
        this.subject = subject;
    }

    /// <summary>The guilty instruction, or null when none fails alone. The runners' results of the batch survive.</summary>
    public Shrunk? Shrink(CaseBatch batch, int at)
    {
        kept[0] = oracle.Results[0];
        kept[1] = subject.Results[0];
        var found = Find(batch, at);
        oracle.Results[0] = kept[0];
        subject.Results[0] = kept[1];
        return found;
    }

    Shrunk? Find(CaseBatch batch, int at)
    {
        var sequence = batch.SequenceOf(at);
        for (var i = 0; i < sequence.Count; i++)
        {
            kept[2] = batch.States[at];
            if (i != 0)
            {
                Prepare(batch, at, 0, i);
                small.States[0] = batch.States[at];
                oracle.Run(small);
                kept[2] = oracle.Results[0];
                if (kept[2].Trap != CaseState.NoTrap)
                {
                    return null;
                }
            }

            Prepare(batch, at, i, i + 1);
            small.States[0] = kept[2];
            small.States[0].Rip = sequence.Rip + (ulong)sequence.Starts[i];
            small.States[0].Edges = batch.States[at].Edges;
            var shrunk = RunAlone(batch, at, i);
            if (shrunk != null)
            {
                return shrunk;
            }
        }

        return null;
    }

    Shrunk? RunAlone(CaseBatch batch, int at, int index)
    {
        var sequence = batch.SequenceOf(at);
        var mask = SequenceBuilder.AllFlags & ~IcedFlags.ToEflags(sequence.Instructions[index].RflagsUndefined);
        oracle.Run(small);
        subject.Run(small);
        var parts = StateComparer.Compare(small.States, oracle.Results, subject.Results, sequence, mask, batch.PlaceOf[at]);
        if (parts == Parts.None)
        {
            return null;
        }

        var code = CodeText.Of(sequence, index, index + 1, batch.Code + batch.SlotOf[at] * Sandbox.SlotBytes);
        return new Shrunk(sequence.Entries[index], code, Explanation.Of(small.States, oracle.Results, subject.Results, mask));
    }

    /// <summary>A batch of one case in the same slot, with only instructions <paramref name="first"/> to <paramref name="end"/> - 1 left.</summary>
    void Prepare(CaseBatch batch, int at, int first, int end)
    {
        var slot = batch.SlotOf[at];
        var sequence = batch.SequenceOf(at);
        Buffer.MemoryCopy(batch.Code, small.Code, Sandbox.Slots * Sandbox.SlotBytes, (slot + 1) * Sandbox.SlotBytes);
        var code = small.Code + slot * Sandbox.SlotBytes;
        new Span<byte>(code, sequence.Starts[first]).Fill(Nop);
        new Span<byte>(code + sequence.Starts[end], sequence.Starts[sequence.Count] - sequence.Starts[end]).Fill(Nop);
        small.Count = 1;
        small.SlotCount = slot + 1;
        small.SlotOf[0] = slot;
        small.Sequences[slot] = sequence;
        small.PlaceOf[0] = batch.PlaceOf[at];
    }

    public void Dispose() => small.Dispose();
}
