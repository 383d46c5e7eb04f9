using Iced.Intel;
using Vmm.Differential.Cases;

namespace Vmm.Differential.Generation;

/// <summary>
/// Makes sequences whose memory operands stay in the sandbox whatever the values are: a register that an address needs
/// must not have been written before, so its value can be chosen in the starting state.
/// </summary>
internal sealed unsafe partial class SequenceBuilder
{
    /// <summary>All flags of user mode but RF.</summary>
    public const ulong AllFlags = 0x0024_7FD7;
    const int StackRegister = 4;

    readonly Prng random;
    readonly bool pure;
    readonly Encoder encoder;
    readonly Writer writer = new();
    readonly InstructionInfoFactory information = new();

    Sequence sequence = null!;
    CodeEntry entry = null!;
    Instruction instruction;
    Tracks tracks;
    int branchTarget;

    /// <summary>This instruction is the first to use the stack, so its top is known.</summary>
    bool stackFresh;

    public SequenceBuilder(Prng random, bool pure)
    {
        this.pure = pure;
        this.random = random;
        encoder = Encoder.Create(64, writer);
    }

    /// <summary>What earlier instructions of the sequence did.</summary>
    struct Tracks
    {
        /// <summary>General registers written, and those whose starting value is settled: bit n is register n.</summary>
        public int Written, Pinned;
        public ulong Undefined;
        public bool StackPinned, StackLost, MemoryWritten, MemoryPrepared, Branched;
    }

    /// <summary>Fills <paramref name="target"/>, starting with <paramref name="first"/>, and writes its code to its slot.</summary>
    public bool Build(Sequence target, EncodingGroup group, CodeEntry first, int slot, byte* code)
    {
        sequence = target;
        target.Clear(group, slot);
        tracks = default;
        target.DefinedAfter[0] = AllFlags;
        branches = 0;
        var wanted = random.Below(10) switch { < 6 => 1, < 8 => 2, 8 => 3, _ => 4 };
        if (!TryAppend(first, 12))
        {
            return false;
        }

        var pool = CodeCatalog.Of(group);
        for (var tries = 0; target.Count < wanted && tries < 12 && !target.Entries[target.Count - 1].EndsSequence; tries++)
        {
            var others = pure || random.Percent(75) ? pool : CodeCatalog.Of((EncodingGroup)random.Below((int)EncodingGroup.Privileged));
            var next = others[random.Below(others.Length)];
            _ = !next.StandsAlone && TryAppend(next, 2);
        }

        Finish(code + slot * Sandbox.SlotBytes);
        return true;
    }

    bool TryAppend(CodeEntry candidate, int attempts)
    {
        for (var i = 0; i < attempts; i++)
        {
            var saved = tracks;
            var pins = sequence.Pins.Count;
            var savedBranches = branches;
            if (TryAppendOnce(candidate))
            {
                return true;
            }

            tracks = saved;
            branches = savedBranches;
            sequence.Pins.RemoveRange(pins, sequence.Pins.Count - pins);
        }

        return false;
    }

    bool TryAppendOnce(CodeEntry candidate)
    {
        entry = candidate;
        instruction = default;
        instruction.Code = candidate.Code;
        branchTarget = -1;
        stackFresh = false;
        if (!ChoosePrefixes() || !ChooseOperands() || !ChooseRole())
        {
            return false;
        }

        var at = sequence.Starts[sequence.Count];
        writer.Start(at);
        if (!encoder.TryEncode(instruction, sequence.Rip + (ulong)at, out var length, out _) || !Track())
        {
            return false;
        }

        instruction.IP = sequence.Rip + (ulong)at;
        instruction.Length = (int)length;
        sequence.Instructions[sequence.Count] = instruction;
        sequence.Entries[sequence.Count] = candidate;
        if (branchTarget >= 0)
        {
            branchAt[branches++] = sequence.Count;
        }

        sequence.Starts[++sequence.Count] = at + (int)length;
        sequence.DefinedAfter[sequence.Count] = AllFlags & ~tracks.Undefined;
        NoteState(candidate.Group);
        return true;
    }

    void NoteState(EncodingGroup group)
    {
        sequence.UsesX87 |= group is EncodingGroup.X87 or EncodingGroup.Mmx or EncodingGroup.Approximate || entry.Role is Role.SaveFx;
        sequence.UsesVectors |= group is EncodingGroup.SseInteger or EncodingGroup.SseFloat or EncodingGroup.Mmx or EncodingGroup.Approximate;
        sequence.UsesFloats |= group is EncodingGroup.SseFloat or EncodingGroup.X87 or EncodingGroup.Approximate;
    }

    /// <summary>Follows registers and flags; refuses an instruction that reads a flag without a defined value.</summary>
    bool Track()
    {
        if ((IcedFlags.ToEflags(instruction.RflagsRead) & tracks.Undefined) != 0)
        {
            return false;
        }

        TrackFlags();
        ref readonly var info = ref information.GetInfo(instruction);
        foreach (var used in info.GetUsedRegisters())
        {
            var general = Forms.General(used.Register);
            if (general >= 0 && used.Access is OpAccess.Write or OpAccess.CondWrite or OpAccess.ReadWrite or OpAccess.ReadCondWrite)
            {
                tracks.Written |= 1 << general;
                tracks.StackLost |= general == StackRegister && !MovesStackOnly();
            }
        }

        foreach (var used in info.GetUsedMemory())
        {
            tracks.MemoryWritten |= used.Access is not (OpAccess.Read or OpAccess.CondRead or OpAccess.NoMemAccess);
        }

        tracks.Branched |= branchTarget >= 0;
        return true;
    }

    bool MovesStackOnly() => instruction.IsStackInstruction && entry.Role is not (Role.Leave or Role.Enter)
        && !(instruction.OpCount != 0 && instruction.Op0Kind == OpKind.Register && Forms.General(instruction.Op0Register) == StackRegister)
        && Math.Abs(instruction.StackPointerIncrement) <= 16;

    void TrackFlags()
    {
        var undefined = IcedFlags.ToEflags(instruction.RflagsUndefined);
        var defined = IcedFlags.ToEflags(instruction.RflagsWritten | instruction.RflagsCleared | instruction.RflagsSet);
        var certain = !tracks.Branched && !instruction.HasRepPrefix && !instruction.HasRepnePrefix
            && !(entry.Group == EncodingGroup.ShiftRotate && entry.Operands[^1] == OpCodeOperandKind.cl);
        if (certain)
        {
            tracks.Undefined &= ~defined;
        }

        tracks.Undefined |= undefined;
    }
}
