using System.Text;
using Vmm.Differential.Cases;

namespace Vmm.Differential.Comparison;

/// <summary>Says in words where two results differ.</summary>
internal static unsafe class Explanation
{
    static readonly string[] Names =
        ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

    /// <summary>Each differing item as <c>name before: expected X, got Y</c>.</summary>
    public static string Of(CaseState* before, CaseState* expected, CaseState* got, ulong flagsMask)
    {
        var text = new StringBuilder();
        for (var i = 0; i < 16; i++)
        {
            Item(text, Names[i], before->Gpr[i], expected->Gpr[i], got->Gpr[i]);
        }

        Item(text, "flags", before->Flags, expected->Flags & flagsMask, got->Flags & flagsMask);
        Item(text, "rip", before->Rip, expected->Rip, got->Rip);
        if (expected->Trap != got->Trap || expected->Trap != CaseState.NoTrap)
        {
            Item(text, "trap", CaseState.NoTrap, expected->Trap, got->Trap);
            Item(text, "error", 0, expected->Trap == CaseState.NoTrap ? 0 : expected->Error, got->Trap == CaseState.NoTrap ? 0 : got->Error);
            Item(text, "cr2", 0, expected->Trap == 14 ? expected->Cr2 : 0, got->Trap == 14 ? got->Cr2 : 0);
        }

        Fx(text, before->Fx, expected->Fx, got->Fx);
        Bytes(text, before, expected, got);
        return text.ToString();
    }

    static void Fx(StringBuilder text, byte* before, byte* expected, byte* got)
    {
        Item(text, "fcw", *(ushort*)before, *(ushort*)expected, *(ushort*)got);
        Item(text, "fsw", *(ushort*)(before + 2), *(ushort*)(expected + 2), *(ushort*)(got + 2));
        Item(text, "ftw", before[4], expected[4], got[4]);
        Item(text, "mxcsr", *(uint*)(before + 24), *(uint*)(expected + 24), *(uint*)(got + 24));
        for (var i = 0; i < 8; i++)
        {
            Wide(text, $"st{i}", before + 32 + 16 * i, expected + 32 + 16 * i, got + 32 + 16 * i, 10);
        }

        for (var i = 0; i < 16; i++)
        {
            Wide(text, $"xmm{i}", before + 160 + 16 * i, expected + 160 + 16 * i, got + 160 + 16 * i, 16);
        }
    }

    static void Item(StringBuilder text, string name, ulong before, ulong expected, ulong got)
    {
        if (expected != got)
        {
            text.Append($" {name} {before:x}: expected {expected:x}, got {got:x};");
        }
    }

    static void Wide(StringBuilder text, string name, byte* before, byte* expected, byte* got, int bytes)
    {
        if (!new ReadOnlySpan<byte>(expected, bytes).SequenceEqual(new ReadOnlySpan<byte>(got, bytes)))
        {
            text.Append($" {name} {Hex(before, bytes)}: expected {Hex(expected, bytes)}, got {Hex(got, bytes)};");
        }
    }

    /// <summary>Most significant byte first.</summary>
    static string Hex(byte* value, int bytes)
    {
        var copy = new ReadOnlySpan<byte>(value, bytes).ToArray();
        Array.Reverse(copy);
        return Convert.ToHexStringLower(copy);
    }

    static void Bytes(StringBuilder text, CaseState* before, CaseState* expected, CaseState* got)
    {
        var shown = 0;
        for (var i = 0; i < Sandbox.WindowBytes + 3 * Sandbox.EdgeBytes && shown < 6; i += 8)
        {
            if (i >= Sandbox.WindowBytes && expected->Edges == 0)
            {
                return;
            }

            var (old, want, have) = (*(ulong*)(before->Memory + i), *(ulong*)(expected->Memory + i), *(ulong*)(got->Memory + i));
            shown += want != have ? 1 : 0;
            Item(text, i < Sandbox.WindowBytes ? $"[sandbox+{Sandbox.Window + i:x}]" : $"[edges+{i - Sandbox.WindowBytes:x}]", old, want, have);
        }
    }
}
