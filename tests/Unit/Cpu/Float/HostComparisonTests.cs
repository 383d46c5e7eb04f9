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

    public static TheoryData<string> PackedNames => new(PackedInstructions.All.Select(i => i.Name));

    public static TheoryData<string> TranscendentalNames => new(X87Instructions.Transcendental.Select(i => i.Name));

    [SkippableTheory]
    [MemberData(nameof(X87Names))]
    public void X87_arithmetic_equals_the_host(string name) => Compare(X87Instructions.All.Single(i => i.Name == name));

    [SkippableTheory]
    [MemberData(nameof(SseNames))]
    public void SSE_arithmetic_equals_the_host(string name) => Compare(SseInstructions.All.Single(i => i.Name == name));

    [SkippableTheory]
    [MemberData(nameof(PackedNames))]
    public void Packed_SSE_arithmetic_equals_the_host(string name) => Compare(PackedInstructions.All.Single(i => i.Name == name));

    [SkippableTheory]
    [MemberData(nameof(TranscendentalNames))]
    public void Transcendentals_equal_the_host_but_for_the_last_place(string name)
        => Compare(X87Instructions.Transcendental.Single(i => i.Name == name), tolerance: 1);

    private void Compare(HostInstruction instruction, ulong tolerance = 0)
    {
        oracle.Require();
        int total = int.Parse(Environment.GetEnvironmentVariable("VMM_FLOAT_CASES") ?? "8192");
        FloatCases cases = FloatCases.For(instruction);
        HostRecord[] inputs = new HostRecord[Batch];
        HostRecord[] outputs = new HostRecord[Batch];
        int wrong = 0;
        StringBuilder report = new();
        for (int done = 0; done < total; done += Batch)
        {
            for (int i = 0; i < Batch; i++)
            {
                inputs[i] = cases.Next(instruction);
            }

            inputs.CopyTo(outputs, 0);
            oracle.Run(instruction.Name, outputs);
            for (int i = 0; i < Batch; i++)
            {
                HostRecord ours = inputs[i];
                instruction.Evaluate(ref ours);
                if (!Same(instruction, ours, outputs[i], tolerance) && wrong++ < 12)
                {
                    report.AppendLine($"in   {inputs[i]}").AppendLine($"host {outputs[i]}").AppendLine($"ours {ours}");
                }
            }
        }

        Assert.True(wrong == 0, $"{instruction.Name}: {wrong} of {total} differ\n{report}");
    }

    private static bool Same(HostInstruction instruction, in HostRecord ours, in HostRecord host, ulong tolerance)
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

        return ours.Extra == host.Extra && (undefined || SameResults(ours, host, tolerance));
    }

    private static bool SameResults(in HostRecord ours, in HostRecord host, ulong tolerance)
        => Near(ours.A, ours.AHigh, host.A, host.AHigh, tolerance)
            && Near(ours.B, ours.BHigh, host.B, host.BHigh, tolerance)
            && ours.M == host.M && ours.MHigh == host.MHigh;

    // Neighbouring x87 values are neighbouring integers but for the integer bit that a carry leaves behind.
    private static bool Near(ulong a, ulong aHigh, ulong b, ulong bHigh, ulong tolerance)
    {
        if (tolerance == 0 || ((aHigh ^ bHigh) >> 15) != 0)
        {
            return a == b && aHigh == bHigh;
        }

        Int128 first = ((Int128)aHigh << 63) + (long)(a & long.MaxValue);
        Int128 second = ((Int128)bHigh << 63) + (long)(b & long.MaxValue);
        return Int128.Abs(first - second) <= tolerance;
    }
}
