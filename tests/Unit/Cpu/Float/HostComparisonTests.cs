using System.Text;
using Xunit;

namespace Vmm.Unit.Cpu.Float;

/// <summary>
/// Compares every operation, bit for bit and flag for flag, with the host CPU over random cases in all modes.
/// VMM_FLOAT_CASES sets the number of cases per instruction.
/// </summary>
public sealed class HostComparisonTests(HostOracle oracle) : IClassFixture<HostOracle>
{
    private const int Batch = 4096;

    public static TheoryData<string> X87Names => new(X87Instructions.All.Select(i => i.Name));

    public static TheoryData<string> SseNames => new(SseInstructions.All.Select(i => i.Name));

    [SkippableTheory]
    [MemberData(nameof(X87Names))]
    public void X87_arithmetic_equals_the_host(string name) => Compare(X87Instructions.All.Single(i => i.Name == name));

    [SkippableTheory]
    [MemberData(nameof(SseNames))]
    public void SSE_arithmetic_equals_the_host(string name) => Compare(SseInstructions.All.Single(i => i.Name == name));

    private void Compare(HostInstruction instruction)
    {
        oracle.Require();
        int total = int.Parse(Environment.GetEnvironmentVariable("VMM_FLOAT_CASES") ?? "8192");
        FloatCases cases = new((ulong)instruction.Name.Sum(c => c * 7919) | 1);
        HostRecord[] inputs = new HostRecord[Batch];
        HostRecord[] outputs = new HostRecord[Batch];
        int wrong = 0;
        StringBuilder report = new();
        for (int done = 0; done < total; done += Batch)
        {
            for (int i = 0; i < Batch; i++)
            {
                inputs[i] = instruction.Sse ? cases.Sse(instruction.Single) : cases.X87();
                instruction.Prepare(ref inputs[i]);
            }

            inputs.CopyTo(outputs, 0);
            oracle.Run(instruction.Name, outputs);
            for (int i = 0; i < Batch; i++)
            {
                HostRecord ours = inputs[i];
                instruction.Evaluate(ref ours);
                if (!Same(instruction, ours, outputs[i]) && wrong++ < 12)
                {
                    report.AppendLine($"in   {inputs[i]}").AppendLine($"host {outputs[i]}").AppendLine($"ours {ours}");
                }
            }
        }

        Assert.True(wrong == 0, $"{instruction.Name}: {wrong} of {total} differ\n{report}");
    }

    private static bool Same(HostInstruction instruction, in HostRecord ours, in HostRecord host)
    {
        bool undefined = instruction.Undefined(host);
        if (((ours.Word ^ host.Word) & (undefined ? instruction.DefinedWordMask : instruction.WordMask)) != 0)
        {
            return false;
        }

        bool trapped = instruction.Sse && host.Extra != 0;
        if (!trapped && ((ours.Flags ^ host.Flags) & instruction.FlagsMask) != 0)
        {
            return false;
        }

        return ours.Extra == host.Extra && (undefined || SameResults(ours, host));
    }

    private static bool SameResults(in HostRecord ours, in HostRecord host)
        => ours.A == host.A && ours.AHigh == host.AHigh
            && ours.B == host.B && ours.BHigh == host.BHigh
            && ours.M == host.M && ours.MHigh == host.MHigh;
}
