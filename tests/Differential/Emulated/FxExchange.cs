using Vmm.Cpu.State;

namespace Vmm.Differential.Emulated;

/// <summary>FXSAVE images to and from the software processor's registers (SDM 1 §10.5.1).</summary>
internal static unsafe class FxExchange
{
    const int StackAt = 32, VectorsAt = 160, VectorBytes = 256;

    public static void Load(CpuState* state, byte* fx)
    {
        state->Fcw = *(ushort*)fx;
        state->Fsw = *(ushort*)(fx + 2);
        state->Ftw = fx[4];
        state->Mxcsr = *(uint*)(fx + 24);
        var top = state->Fsw >> 11;
        for (var i = 0; i < 8; i++)
        {
            var to = state->Fpr + 2 * (top + i & 7);
            to[0] = *(ulong*)(fx + StackAt + 16 * i);
            to[1] = *(ushort*)(fx + StackAt + 16 * i + 8);
        }

        Buffer.MemoryCopy(fx + VectorsAt, state->Xmm, VectorBytes, VectorBytes);
    }

    public static void Save(CpuState* state, byte* fx)
    {
        *(ulong*)fx = state->Fcw | (ulong)state->Fsw << 16 | (ulong)state->Ftw << 32;
        *(uint*)(fx + 24) = state->Mxcsr;
        var top = state->Fsw >> 11;
        for (var i = 0; i < 8; i++)
        {
            var from = state->Fpr + 2 * (top + i & 7);
            *(ulong*)(fx + StackAt + 16 * i) = from[0];
            *(ulong*)(fx + StackAt + 16 * i + 8) = (ushort)from[1];
        }

        Buffer.MemoryCopy(state->Xmm, fx + VectorsAt, VectorBytes, VectorBytes);
    }
}
