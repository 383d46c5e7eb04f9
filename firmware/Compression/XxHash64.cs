using System.Buffers.Binary;
using System.Numerics;

namespace Vmm.Firmware.Compression;

/// <summary>XXH64 with seed 0, as Zstandard frames use it (RFC 8878 §3.1.1).</summary>
internal sealed class XxHash64
{
    const ulong P1 = 0x9E3779B185EBCA87, P2 = 0xC2B2AE3D27D4EB4F, P3 = 0x165667B19E3779F9, P4 = 0x85EBCA77C2B2AE63, P5 = 0x27D4EB2F165667C5;
    const int StripeSize = 32;

    readonly byte[] partial = new byte[StripeSize];
    int waiting;
    ulong length;
    ulong a = unchecked(P1 + P2), b = P2, c, d = unchecked(0 - P1);

    /// <summary>Adds bytes.</summary>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        length += (ulong)bytes.Length;
        if (waiting > 0)
        {
            var part = Math.Min(StripeSize - waiting, bytes.Length);
            bytes[..part].CopyTo(partial.AsSpan(waiting));
            waiting += part;
            bytes = bytes[part..];
            if (waiting < StripeSize)
            {
                return;
            }

            Stripe(partial);
            waiting = 0;
        }

        while (bytes.Length >= StripeSize)
        {
            Stripe(bytes);
            bytes = bytes[StripeSize..];
        }

        bytes.CopyTo(partial);
        waiting = bytes.Length;
    }

    /// <summary>The hash of all bytes added.</summary>
    public ulong Value()
    {
        ulong hash;
        if (length < StripeSize)
        {
            hash = P5;
        }
        else
        {
            hash = BitOperations.RotateLeft(a, 1) + BitOperations.RotateLeft(b, 7) + BitOperations.RotateLeft(c, 12) + BitOperations.RotateLeft(d, 18);
            hash = Merge(Merge(Merge(Merge(hash, a), b), c), d);
        }

        return Avalanche(Tail(hash + length, partial.AsSpan(0, waiting)));
    }

    void Stripe(ReadOnlySpan<byte> bytes)
    {
        a = Round(a, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        b = Round(b, BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]));
        c = Round(c, BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]));
        d = Round(d, BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]));
    }

    static ulong Tail(ulong hash, ReadOnlySpan<byte> rest)
    {
        for (; rest.Length >= 8; rest = rest[8..])
        {
            hash = BitOperations.RotateLeft(hash ^ Round(0, BinaryPrimitives.ReadUInt64LittleEndian(rest)), 27) * P1 + P4;
        }

        if (rest.Length >= 4)
        {
            hash = BitOperations.RotateLeft(hash ^ BinaryPrimitives.ReadUInt32LittleEndian(rest) * P1, 23) * P2 + P3;
            rest = rest[4..];
        }

        foreach (var value in rest)
        {
            hash = BitOperations.RotateLeft(hash ^ value * P5, 11) * P1;
        }

        return hash;
    }

    static ulong Avalanche(ulong hash)
    {
        hash = (hash ^ hash >> 33) * P2;
        hash = (hash ^ hash >> 29) * P3;
        return hash ^ hash >> 32;
    }

    static ulong Round(ulong lane, ulong input) => BitOperations.RotateLeft(lane + input * P2, 31) * P1;

    static ulong Merge(ulong hash, ulong lane) => (hash ^ Round(0, lane)) * P1 + P4;
}
