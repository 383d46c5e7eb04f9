using System.Buffers.Binary;
using Vmm.Differential.Cases;
using Vmm.Differential.Generation;

namespace Vmm.Differential.Tests;

/// <summary>
/// 32-bit code inside a 64-bit case: a far return enters the 32-bit user segment (23h), a far jump leaves it.
/// Upper halves of registers start as zero and are not compared: the architecture leaves them open.
/// </summary>
internal sealed unsafe class CompatibilityModeCase : IDisposable
{
    const int SelectorAt = Sandbox.SlotBytes - 4, NullSelectorAt = Sandbox.SlotBytes - 2, Prologue = 23;
    const byte Compatibility = 0x23;
    const int States = Sandbox.Slots;

    public CompatibilityModeCase(ReadOnlySpan<byte> body, ulong seed)
    {
        var slot = new Span<byte>(Batch.Code, Sandbox.SlotBytes);
        var at = LoadData(slot, 0, SelectorAt);
        slot[at++] = 0x6A;
        slot[at++] = Compatibility;
        slot[at++] = 0x68;
        BinaryPrimitives.WriteUInt32LittleEndian(slot[at..], (uint)Sandbox.CodeBase + Prologue);
        slot[at + 4] = 0x48;
        slot[at + 5] = 0xCB;
        body.CopyTo(slot[Prologue..]);
        at = Prologue + body.Length;
        slot[at] = 0xEA;
        BinaryPrimitives.WriteUInt32LittleEndian(slot[(at + 1)..], (uint)Sandbox.CodeBase + (uint)at + 7);
        BinaryPrimitives.WriteUInt16LittleEndian(slot[(at + 5)..], Sandbox.UserCode);
        at = LoadData(slot, at + 7, NullSelectorAt);
        slot[at] = 0xE9;
        BinaryPrimitives.WriteInt32LittleEndian(slot[(at + 1)..], (int)((long)Sandbox.Exit - (long)Sandbox.CodeBase) - at - 5);
        BinaryPrimitives.WriteUInt16LittleEndian(slot[SelectorAt..], Sandbox.UserData);
        Batch.SlotCount = 1;
        Batch.Count = States;
        var random = new Prng(seed);
        var pool = new ValuePool(seed);
        for (var i = 0; i < States; i++)
        {
            Fill(Batch.States + i, random, pool);
        }
    }

    public CaseBatch Batch { get; } = new();

    /// <summary>MOV DS and MOV ES from a word of the slot: changes no other register.</summary>
    static int LoadData(Span<byte> slot, int at, int selectorAt)
    {
        foreach (var register in (ReadOnlySpan<byte>)[0x1C, 0x04])
        {
            slot[at] = 0x8E;
            slot[at + 1] = register;
            slot[at + 2] = 0x25;
            BinaryPrimitives.WriteUInt32LittleEndian(slot[(at + 3)..], (uint)Sandbox.CodeBase + (uint)selectorAt);
            at += 7;
        }

        return at;
    }

    static void Fill(CaseState* state, Prng random, ValuePool pool)
    {
        new Span<byte>(state, CaseState.Bytes).Clear();
        state->Rip = Sandbox.CodeBase;
        state->Trap = CaseState.NoTrap;
        state->Flags = 0x202 | random.Next() & 0x8D5 | (random.Percent(20) ? 0x400ul : 0);
        pool.Fill(new Span<ulong>(state->Memory, Sandbox.WindowBytes / 8), false, random);
        for (var i = 0; i < 8; i++)
        {
            // EBX, ESP, EBP, ESI, EDI point into the window, EAX, ECX, EDX hold values.
            state->Gpr[i] = i < 3 ? (uint)pool.Integer(random) : Sandbox.Low + Sandbox.Window + (ulong)random.Between(280, 480);
        }

        state->Gpr[1] = random.Percent(50) ? (uint)random.Below(20) : state->Gpr[1];
        *(ushort*)state->Fx = 0x37F;
        *(uint*)(state->Fx + 24) = 0x1F80;
    }

    public void Dispose() => Batch.Dispose();
}
