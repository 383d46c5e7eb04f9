using System.Buffers;
using Google.Protobuf.Reflection;

namespace Vmm.Grpc.Wire;

/// <summary>
/// Counts the fields of a serialized message, those of messages inside it included, before it is parsed: two bytes on the
/// wire can become an object of hundreds. What is not well formed is left to the parser, which refuses it.
/// </summary>
internal static class FieldCount
{
    /// <summary>The parser goes no deeper.</summary>
    const int Depth = 100;

    /// <summary>True when there are more fields, or elements of packed fields, than allowed.</summary>
    public static bool IsOver(in ReadOnlySequence<byte> body, MessageDescriptor type, int limit)
    {
        // An element takes a byte at least, so short messages need no look.
        if (body.Length <= limit)
        {
            return false;
        }

        if (body.IsSingleSegment)
        {
            return Walk(body.FirstSpan, type, limit, Depth) < 0;
        }

        var copy = ArrayPool<byte>.Shared.Rent((int)body.Length);
        try
        {
            body.CopyTo(copy);
            return Walk(copy.AsSpan(0, (int)body.Length), type, limit, Depth) < 0;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(copy);
        }
    }

    /// <summary>What is left of an allowance; negative: it is used up.</summary>
    static long Walk(ReadOnlySpan<byte> bytes, MessageDescriptor? type, long left, int depth)
    {
        while (left >= 0 && TryVarint(ref bytes, out var tag))
        {
            left--;
            switch (tag & 7)
            {
                case 0 when TryVarint(ref bytes, out _):
                case 3 or 4:
                    break;
                case 1 when bytes.Length >= 8:
                    bytes = bytes[8..];
                    break;
                case 5 when bytes.Length >= 4:
                    bytes = bytes[4..];
                    break;
                case 2 when TryVarint(ref bytes, out var length) && length <= (ulong)bytes.Length:
                    left = Inside(bytes[..(int)length], type?.FindFieldByNumber((int)Math.Min(tag >> 3, int.MaxValue)), left, depth);
                    bytes = bytes[(int)length..];
                    break;
                default:
                    return left;
            }
        }

        return left;
    }

    static long Inside(ReadOnlySpan<byte> bytes, FieldDescriptor? field, long left, int depth) => field?.FieldType switch
    {
        null or FieldType.String or FieldType.Bytes => left,
        FieldType.Message or FieldType.Group => depth == 0 ? left : Walk(bytes, field.MessageType, left, depth - 1),
        // Packed: each element has a byte or more.
        _ => left - bytes.Length,
    };

    static bool TryVarint(ref ReadOnlySpan<byte> bytes, out ulong value)
    {
        value = 0;
        for (var i = 0; i < Math.Min(bytes.Length, 10); i++)
        {
            value |= (ulong)(bytes[i] & 0x7F) << (7 * i);
            if (bytes[i] < 0x80)
            {
                bytes = bytes[(i + 1)..];
                return true;
            }
        }

        return false;
    }
}
