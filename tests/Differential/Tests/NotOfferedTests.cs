using Iced.Intel;
using Vmm.Differential.Cases;
using Vmm.Differential.Emulated;
using Vmm.Differential.Generation;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Differential.Tests;

/// <summary>Instructions beyond the offered set. The host may have them, so there is no oracle but the manual.</summary>
public sealed unsafe class NotOfferedTests
{
    const ulong InvalidOpcode = 6, GeneralProtection = 13;

    /// <summary>Reserved NOP space and prefixes that older processors ignore: these run, as something else.</summary>
    static readonly HashSet<Mnemonic> RunAsOlderOnes =
    [
        Mnemonic.Prefetch, Mnemonic.Prefetchw, Mnemonic.Prefetchwt1, Mnemonic.Prefetchit0, Mnemonic.Prefetchit1, Mnemonic.Cldemote,
        Mnemonic.Bndldx, Mnemonic.Bndmov, Mnemonic.Bndcl, Mnemonic.Bndcu, Mnemonic.Bndstx, Mnemonic.Bndmk, Mnemonic.Bndcn,
        Mnemonic.Endbr32, Mnemonic.Endbr64, Mnemonic.Rdsspd, Mnemonic.Rdsspq, Mnemonic.Tzcnt, Mnemonic.Lzcnt,
    ];

    /// <summary>Offered, but with no result that could be compared with a host; VMCALL reaches the hypervisor whatever CPUID says.</summary>
    static readonly HashSet<Mnemonic> OfferedElsewhere = [Mnemonic.Rdtscp, Mnemonic.Serialize, Mnemonic.Vmcall];

    /// <summary>Refused in user mode.</summary>
    static readonly HashSet<Mnemonic> Refused = [Mnemonic.Wbnoinvd, Mnemonic.Rdpmc];

    [Fact]
    public void A_form_that_CPUID_does_not_offer_is_an_invalid_opcode()
    {
        using var runner = new InterpreterRunner();
        var known = CodeCatalog.Supported.Select(e => e.Code).Concat(CodeCatalog.Excluded.Select(e => e.Code)).ToHashSet();
        var wrong = new List<string>();
        var tried = 0;
        foreach (var code in Enum.GetValues<Code>())
        {
            var opCode = code.ToOpCode();
            var bytes = opCode.IsInstruction && opCode.Mode64 && !known.Contains(code) ? InstructionFormEncoder.Encode(code) : null;
            if (bytes == null || OfferedElsewhere.Contains(code.Mnemonic()))
            {
                continue;
            }

            tried++;
            var trap = Run(runner, bytes).Trap;
            var old = opCode.Encoding == EncodingKind.Legacy;
            var expected = old && RunAsOlderOnes.Contains(code.Mnemonic()) ? CaseState.NoTrap : Refused.Contains(code.Mnemonic()) ? GeneralProtection : InvalidOpcode;
            if (trap != expected)
            {
                wrong.Add($"{code} {Convert.ToHexString(bytes)}: {trap}, not {expected}");
            }
        }

        Assert.Equal([], wrong);
        Assert.True(tried > 3000, $"only {tried} forms could be encoded");
    }

    [Fact]
    public void TZCNT_and_LZCNT_run_as_BSF_and_BSR()
    {
        using var runner = new InterpreterRunner();
        using var made = new HandMadeCase(a =>
        {
            a.tzcnt(rax, rcx);
            a.lzcnt(rdx, rcx);
        });
        made.State.Gpr[1] = 0x1200;
        var result = made.Run(runner);
        Assert.Equal((9ul, 12ul), (result.Gpr[0], result.Gpr[2]));
    }

    [Fact]
    public void RDSSP_leaves_its_register_alone()
    {
        using var runner = new InterpreterRunner();
        using var made = new HandMadeCase(a => a.rdsspq(rax));
        made.State.Gpr[0] = 0x1234_5678_9ABC_DEF0;
        var result = made.Run(runner);
        Assert.Equal(0x1234_5678_9ABC_DEF0ul, result.Gpr[0]);
    }

    static CaseState Run(InterpreterRunner runner, byte[] bytes)
    {
        using var made = new HandMadeCase(a => a.db(bytes));
        made.State.Gpr[3] = Sandbox.Low + Sandbox.Window + 256;
        return made.Run(runner);
    }
}
