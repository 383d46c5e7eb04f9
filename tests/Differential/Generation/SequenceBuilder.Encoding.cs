using Iced.Intel;
using Vmm.Differential.Cases;

namespace Vmm.Differential.Generation;

internal sealed unsafe partial class SequenceBuilder
{
    readonly int[] branchAt = new int[Sequence.Longest];
    readonly byte[] bytes = new byte[Sandbox.SlotBytes];
    int branches;

    sealed class Writer : CodeWriter
    {
        int at;

        public byte[] Bytes { get; } = new byte[Sandbox.SlotBytes];

        public void Start(int offset) => at = offset;

        public override void WriteByte(byte value) => Bytes[at++] = value;
    }

    /// <summary>Address of instruction <paramref name="index"/>; the address behind the last one is the end of the case.</summary>
    ulong AddressOf(int index) => sequence.Rip + (ulong)sequence.Starts[index];

    /// <summary>Resolves forward branches, adds the jump that ends the case and copies the code to its slot.</summary>
    void Finish(byte* slot)
    {
        for (var i = 0; i < branches; i++)
        {
            var from = branchAt[i];
            Patch(ref sequence.Instructions[from], from, from + 1 + random.Below(sequence.Count - from));
        }

        FinishPins();
        writer.Start(sequence.Starts[sequence.Count]);
        var jump = Instruction.CreateBranch(Code.Jmp_rel32_64, Sandbox.Exit);
        encoder.Encode(jump, AddressOf(sequence.Count));
        writer.Bytes.AsSpan(0, sequence.Starts[sequence.Count] + 5).CopyTo(new Span<byte>(slot, Sandbox.SlotBytes));
    }

    void Patch(ref Instruction branch, int from, int target)
    {
        var distance = (long)AddressOf(target) - (long)AddressOf(from + 1);
        var end = writer.Bytes.AsSpan(0, sequence.Starts[from + 1]);
        if (sequence.Entries[from].Operands[0] == OpCodeOperandKind.br64_1)
        {
            end[^1] = (byte)distance;
        }
        else
        {
            BitConverter.TryWriteBytes(end[^4..], (int)distance);
        }

        branch.NearBranch64 = AddressOf(target);
    }

    /// <summary>Targets of indirect jumps are any later instruction; they are known only now.</summary>
    void FinishPins()
    {
        var pins = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(sequence.Pins);
        foreach (ref var pin in pins)
        {
            if (pin.Kind is PinKind.RegisterValue or PinKind.MemoryValue or PinKind.FarFrame)
            {
                var from = (int)pin.Value;
                pin.Value = AddressOf(from + 1 + random.Below(sequence.Count - from));
            }
        }
    }
}
