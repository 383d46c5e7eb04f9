using Vmm.Differential.Cases;
using Vmm.Differential.Comparison;
using Vmm.Differential.Generation;
using Vmm.Differential.Reporting;

namespace Vmm.Differential;

/// <summary>Runs the same batches on an oracle and a subject and collects where they differ.</summary>
internal sealed unsafe class DifferentialRun : IDisposable
{
    /// <summary>Shrinking takes time; a form that fails always is clear after that many.</summary>
    const int ShrunkForEachForm = 200;

    readonly ICaseRunner oracle;
    readonly ICaseRunner subject;
    readonly BatchGenerator generator;
    readonly CaseBatch batch = new();
    readonly Shrinker shrinker;

    public DifferentialRun(ICaseRunner oracle, ICaseRunner subject, ulong seed, bool pure = false)
    {
        this.oracle = oracle;
        this.subject = subject;
        generator = new BatchGenerator(seed, pure);
        shrinker = new Shrinker(oracle, subject);
    }

    public RunTotals Totals { get; } = new();

    /// <summary>Runs <paramref name="cases"/> cases of a group, from batch <paramref name="firstBatch"/> on.</summary>
    public void Run(EncodingGroup group, long cases, int firstBatch = 0)
    {
        if (CodeCatalog.Of(group).Length == 0)
        {
            return;
        }

        for (var number = firstBatch; cases > 0; number++)
        {
            generator.Fill(batch, group, number, (int)Math.Min(cases, Sandbox.Slots));
            cases -= batch.Count;
            RunBatch(group, number);
        }
    }

    void RunBatch(EncodingGroup group, int number)
    {
        // The helper has a core of its own while the subject runs.
        oracle.Start(batch);
        subject.Run(batch);
        oracle.Finish();
        Count(group);
        var strayed = !oracle.SandboxPages.SequenceEqual(subject.SandboxPages);
        List<int>? different = null;
        for (var i = 0; i < batch.Count; i++)
        {
            var sequence = batch.SequenceOf(i);
            if (StateComparer.Compare(batch.States + i, oracle.Results + i, subject.Results + i, sequence, Mask(sequence, i), batch.PlaceOf[i]) != Parts.None)
            {
                (different ??= []).Add(i);
            }
        }

        foreach (var at in different ?? [])
        {
            Totals.Add(Describe(group, number, at));
        }

        if (strayed && different == null && !EndsOpen())
        {
            Totals.Add(new Finding(group, batch.SequenceOf(0).Entries[0], Reproducer(group, number, -1), "whole batch", " memory outside of the windows"));
        }
    }

    ulong Mask(Sequence sequence, int at)
    {
        var result = oracle.Results + at;
        return result->Trap == CaseState.NoTrap ? sequence.FlagsMask : sequence.DefinedAt(result->Rip);
    }

    /// <summary>Some case stored bytes that are not compared, so the pages may differ.</summary>
    bool EndsOpen()
    {
        for (var i = 0; i < batch.SlotCount; i++)
        {
            if (batch.Sequences[i].LastRole is Role.SaveFx or Role.SaveEnvironment)
            {
                return true;
            }
        }

        return false;
    }

    void Count(EncodingGroup group)
    {
        Totals.TotalCases += batch.Count;
        Totals.GroupCases[(int)group] += batch.Count;
        for (var i = 0; i < batch.Count; i++)
        {
            var sequence = batch.SequenceOf(i);
            for (var k = 0; k < sequence.Count; k++)
            {
                Totals.Cases[sequence.Entries[k].Ordinal]++;
            }

            var trap = oracle.Results[i].Trap;
            if (trap < 32)
            {
                Totals.Traps[trap]++;
            }
        }
    }

    string Reproducer(EncodingGroup group, int number, int at) => $"--group {group} --seed {generator.Seed} --batch {number} --case {at}{(generator.Pure ? " --pure" : "")}";

    Finding Describe(EncodingGroup group, int number, int at)
    {
        var sequence = batch.SequenceOf(at);
        var reproducer = Reproducer(group, number, at);
        var small = Totals.Mismatches[sequence.Entries[0].Ordinal] < ShrunkForEachForm ? shrinker.Shrink(batch, at) : null;
        if (small != null)
        {
            return new Finding(group, small.Entry, reproducer, small.Code, small.Differences);
        }

        var differences = Explanation.Of(batch.States + at, oracle.Results + at, subject.Results + at, Mask(sequence, at));
        return new Finding(group, sequence.Entries[0], reproducer, CodeText.Of(sequence, 0, sequence.Count, batch.Code + batch.SlotOf[at] * Sandbox.SlotBytes), differences);
    }

    public void Dispose()
    {
        batch.Dispose();
        shrinker.Dispose();
    }
}
