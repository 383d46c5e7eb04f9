using Iced.Intel;
using Vmm.Differential.Cases;
using Vmm.Differential.Comparison;
using Vmm.Differential.Emulated;
using Vmm.Differential.Generation;
using Vmm.Differential.Native;
using Xunit;

namespace Vmm.Differential.Tests;

/// <summary>Instructions and address forms that 64-bit mode does not have, on 1,024 states each.</summary>
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed unsafe class CompatibilityModeTests(CompatibilityModeTests.Runners runners) : IClassFixture<CompatibilityModeTests.Runners>
{
    /// <summary>Host and software processor, shared by all cases.</summary>
    public sealed class Runners : IDisposable
    {
        internal ICaseRunner? Host { get; } = NativeHost.IsSupported ? new NativeRunner() : null;

        internal ICaseRunner Subject { get; } = new InterpreterRunner();

        public void Dispose()
        {
            Host?.Dispose();
            Subject.Dispose();
        }
    }

    public static TheoryData<string> Bodies =>
    [
        "37", "3F", "27", "2F", "D40A", "D400", "D410", "D50A", "D507", "D6", // AAA AAS DAA DAS AAM AAD SALC
        "40", "44", "47", "48", "4D", "6640", "664F", // INC and DEC, short forms
        "60", "61", "6660", "6661", "6203", "66620B", "6313", "63C8", "CE", // PUSHA POPA BOUND ARPL INTO
        "06", "0E", "16", "1E", "6606", "660E", // PUSH of segment registers
        "50", "58", "6650", "665F", "68785634126A80", "6668FFFF", "FF33", "8F06", "668F06", "9C", "9D", "669C", "669D",
        "C8100000", "C8200003", "66C8080001", "C9", "66C9", "E800000000", "66E80000",
        "678B00", "678A4212", "678B5181", "678D6F34", "67AC", "67A5", "67F3A4", "678B1E3412", "6766894C10", "67D7", "67FF30", "678F00",
        "67E300", "E300", "67E200", "E100", "66EB00", "677400", "82C07F", "82030F", "A1785634128BD0", "A23412B0E8",
        "A4", "A5", "66A5", "F3A5", "F3AA", "A6", "F2AE", "AD", "6C", "EE", "FA", "F4",
        "8B03", "8D448E08", "8B0C25001F0010", "894F10", "66897710", "0FB603", "0FBF0B", "0FC8", "0FAFC3", "F7F1", "F7F9", "F7E3", "0FA4C305",
        "0FBA2B05", "0FABD0", "0FBC03", "0FC703", "0FC70B", "F00FB10B", "F00FC103", "D303", "C1D007", "FF03", "8C1B", "8CC8", "0F94C0", "0F4FCB", "CC", "CD03", "CD21",
        "D903DD1B", "DB2BDB3B", "0F1003", "660FEF03", "0F6F03", "0F0B", "8D0400", "8DC0", "0FB2C0", "F08B03",
    ];

    [SkippableTheory]
    [MemberData(nameof(Bodies))]
    public void A_32_bit_instruction_gives_what_the_host_gives(string hex)
    {
        Skip.IfNot(NativeHost.IsSupported, NativeHost.Reason);
        var body = Convert.FromHexString(hex);
        var host = runners.Host!;
        var subject = runners.Subject;
        using var made = new CompatibilityModeCase(body, 7);
        host.Run(made.Batch);
        subject.Run(made.Batch);
        var defined = SequenceBuilder.AllFlags & ~Undefined(body);
        for (var i = 0; i < made.Batch.Count; i++)
        {
            LowHalves(host.Results + i);
            LowHalves(subject.Results + i);
            var text = Explanation.Of(made.Batch.States + i, host.Results + i, subject.Results + i, defined);
            Assert.True(text.Length == 0, $"{Disassembly(body)}, state {i}:{text}");
        }
    }

    static void LowHalves(CaseState* state)
    {
        for (var i = 0; i < 8; i++)
        {
            state->Gpr[i] = (uint)state->Gpr[i];
        }

        // Not compared elsewhere either: reserved parts of a register image.
        *(uint*)(state->Fx + 28) = 0;
        new Span<byte>(state->Fx + 5, 19).Clear();
    }

    static ulong Undefined(byte[] body)
    {
        var flags = 0ul;
        foreach (var instruction in Decode(body))
        {
            flags |= IcedFlags.ToEflags(instruction.RflagsUndefined);
        }

        return flags;
    }

    static List<Instruction> Decode(byte[] body)
    {
        var decoder = Decoder.Create(32, new ByteArrayCodeReader(body));
        var list = new List<Instruction>();
        while (decoder.IP < (ulong)body.Length)
        {
            list.Add(decoder.Decode());
        }

        return list;
    }

    static string Disassembly(byte[] body) => string.Join("; ", Decode(body));
}
