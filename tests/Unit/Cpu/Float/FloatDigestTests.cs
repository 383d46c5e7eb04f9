using Xunit;

namespace Vmm.Unit.Cpu.Float;

/// <summary>
/// Digests of our results over fixed case sequences that agreed with a host CPU (see <see cref="HostComparisonTests"/>),
/// so that every other host is held to the same bits.
/// </summary>
public sealed class FloatDigestTests
{
    private const int Cases = 4096;

    public static TheoryData<string> Names => new(FloatDigests.ByName.Keys);

    private static IEnumerable<HostInstruction> All
        => [.. X87Instructions.All, .. X87Instructions.Transcendental, .. SseInstructions.All, .. PackedInstructions.All];

    [Theory]
    [MemberData(nameof(Names))]
    public void Results_are_the_same_on_every_host(string name)
        => Assert.Equal(FloatDigests.ByName[name], Digest(All.Single(i => i.Name == name)));

    [Fact]
    public void Every_instruction_has_a_digest()
        => Assert.Equal(All.Select(i => i.Name).Order(), FloatDigests.ByName.Keys.Order());

    private static ulong Digest(HostInstruction instruction)
    {
        FloatCases cases = FloatCases.For(instruction);
        ulong digest = 14695981039346656037;
        for (int i = 0; i < Cases; i++)
        {
            HostRecord r = cases.Next(instruction);
            instruction.Evaluate(ref r);
            foreach (ulong part in (ReadOnlySpan<ulong>)[r.Word, r.Flags & (ulong)instruction.FlagsMask, r.Extra, r.A, r.AHigh, r.B, r.BHigh, r.M, r.MHigh])
            {
                digest = (digest ^ part) * 1099511628211;
                digest ^= digest >> 29;
            }
        }

        return digest;
    }
}
