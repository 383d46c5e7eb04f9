using System.Numerics;
using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>One of the 256-bit registers IRR, ISR and TMR (SDM 3A §11.8.4).</summary>
sealed class VectorSet
{
    readonly ulong[] words = new ulong[4];

    /// <summary>True when the vector's bit is set.</summary>
    public bool this[byte vector] => (words[vector >> 6] >> (vector & 63) & 1) != 0;

    /// <summary>Highest vector set, or -1.</summary>
    public int Highest
    {
        get
        {
            for (var i = 3; i >= 0; i--)
            {
                if (words[i] != 0)
                {
                    return i * 64 + BitOperations.Log2(words[i]);
                }
            }

            return -1;
        }
    }

    /// <summary>Sets a bit.</summary>
    public void Set(byte vector) => words[vector >> 6] |= 1ul << (vector & 63);

    /// <summary>Clears a bit.</summary>
    public void Clear(byte vector) => words[vector >> 6] &= ~(1ul << (vector & 63));

    /// <summary>Clears all bits.</summary>
    public void Clear() => Array.Clear(words);

    /// <summary>Bits 32*<paramref name="index"/> to 32*<paramref name="index"/>+31, as the registers show them.</summary>
    public uint Word(int index) => (uint)(words[index >> 1 & 3] >> (index & 1) * 32);

    /// <summary>Saves the bits.</summary>
    public void Save(SnapshotWriter writer)
    {
        foreach (var word in words)
        {
            writer.U64(word);
        }
    }

    /// <summary>Loads the bits.</summary>
    public void Load(SnapshotReader reader)
    {
        for (var i = 0; i < words.Length; i++)
        {
            words[i] = reader.U64();
        }
    }
}
