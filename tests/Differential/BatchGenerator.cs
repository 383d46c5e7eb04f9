using Vmm.Differential.Cases;
using Vmm.Differential.Generation;

namespace Vmm.Differential;

/// <summary>Makes batch number n of a group: the same for the same seed, whatever ran before.</summary>
internal sealed unsafe class BatchGenerator
{
    /// <summary>Starting states tried with each sequence.</summary>
    public const int StatesPerSequence = 8;

    readonly Prng random = new(0);
    readonly SequenceBuilder sequences;
    readonly StateBuilder states;

    public BatchGenerator(ulong seed, bool pure = false)
    {
        Seed = seed;
        Pure = pure;
        sequences = new SequenceBuilder(random, pure);
        states = new StateBuilder(random, new ValuePool(seed));
    }

    public ulong Seed { get; }

    /// <summary>True when sequences do not mix groups.</summary>
    public bool Pure { get; }

    /// <summary>Fills <paramref name="batch"/> with up to <paramref name="cases"/> cases.</summary>
    public void Fill(CaseBatch batch, EncodingGroup group, int number, int cases)
    {
        random.Seed(Seed ^ (ulong)(int)group << 56 ^ (ulong)number * 0x9E37_79B9_7F4A_7C15);
        var forms = CodeCatalog.Of(group);
        var wanted = Math.Min(Sandbox.Slots, cases);
        batch.Count = 0;
        batch.SlotCount = 0;
        for (var turn = (long)number * (Sandbox.Slots / StatesPerSequence); batch.Count < wanted; turn++)
        {
            var slot = batch.SlotCount;
            var sequence = batch.Sequences[slot];
            if (!sequences.Build(sequence, group, forms[turn % forms.Length], slot, batch.Code))
            {
                continue;
            }

            batch.SlotCount++;
            for (var i = 0; i < StatesPerSequence && batch.Count < wanted; i++)
            {
                var at = batch.Count++;
                states.Fill(batch.States + at, sequence);
                batch.SlotOf[at] = slot;
                batch.PlaceOf[at] = states.OperandPlace;
            }
        }
    }
}
