using Iced.Intel;

namespace Vmm.Differential.Generation;

/// <summary>One instruction form and what the generator must know of it.</summary>
internal sealed class CodeEntry
{
    public CodeEntry(Code code, int ordinal)
    {
        Code = code;
        Ordinal = ordinal;
        OpCode = code.ToOpCode();
        Operands = [.. Enumerable.Range(0, OpCode.OpCount).Select(OpCode.GetOpKind)];
        Mnemonic = code.Mnemonic();
        Role = Roles.Of(this);
        Group = Groups.Of(this);
        MemoryBytes = MemoryBytesOf();
        NeedsAlignment = Role is Role.SaveFx or Role.LoadFx || code == Code.Cmpxchg16b_m128
            || MemoryBytes == 16 && Operands.Contains(OpCodeOperandKind.xmm_or_mem) && !IsUnaligned(Mnemonic);
    }

    public Code Code { get; }

    /// <summary>Position among the supported codes.</summary>
    public int Ordinal { get; }

    public OpCodeInfo OpCode { get; }

    public OpCodeOperandKind[] Operands { get; }

    public Mnemonic Mnemonic { get; }

    public Role Role { get; }

    public EncodingGroup Group { get; }

    /// <summary>Size of the memory operand in bytes; 0 when none or when it is not touched.</summary>
    public int MemoryBytes { get; }

    /// <summary>A misaligned 16-byte operand faults.</summary>
    public bool NeedsAlignment { get; }

    public bool HasMemoryForm => Role != Role.RegisterOnly && Operands.Any(Forms.MayBeMemory);

    /// <summary>The case ends here: what follows could read a result that is not compared exactly.</summary>
    public bool EndsSequence => Role is Role.SaveFx or Role.SaveEnvironment or Role.PartialRemainder or Role.Transcendental or Role.Reciprocal
        or Role.CompareToFlags;

    /// <summary>Only a case of its own: the comparison looks at the starting state.</summary>
    public bool StandsAlone => Role is Role.Transcendental;

    int MemoryBytesOf() => Mnemonic switch
    {
        Mnemonic.Fldenv or Mnemonic.Fnstenv or Mnemonic.Fstenv => OpCode.OperandSize == 16 ? 14 : 28,
        Mnemonic.Frstor or Mnemonic.Fnsave or Mnemonic.Fsave => OpCode.OperandSize == 16 ? 94 : 108,
        Mnemonic.Fxsave or Mnemonic.Fxsave64 or Mnemonic.Fxrstor or Mnemonic.Fxrstor64 => 512,
        Mnemonic.Clflush => 1,
        _ => Math.Max(1, OpCode.MemorySize.GetSize()),
    };

    static bool IsUnaligned(Mnemonic mnemonic) => mnemonic is Mnemonic.Movups or Mnemonic.Movupd or Mnemonic.Movdqu or Mnemonic.Lddqu
        or Mnemonic.Pcmpistri or Mnemonic.Pcmpistrm or Mnemonic.Pcmpestri or Mnemonic.Pcmpestrm or Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm64;

    public override string ToString() => Code.ToString();
}
