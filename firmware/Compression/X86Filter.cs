using System.Buffers.Binary;
using System.Numerics;

namespace Vmm.Firmware.Compression;

/// <summary>
/// Undoes the x86 branch filter (XZ file format §5.3.2, "BCJ x86"): the encoder turned the relative operand of each
/// CALL (E8) and JMP (E9) into an absolute one, so that repeated calls compress better.
/// </summary>
internal sealed class X86Filter(uint start)
{
    /// <summary>Bytes of look-ahead: an opcode and its operand.</summary>
    public const int Lookahead = 5;

    const int OperandBytes = 4;

    uint position = start;
    // Bit n is set when a candidate opcode that was left alone stands n + 1 bytes back.
    uint recent;

    /// <summary>
    /// Restores the bytes in place and returns how many are final. With <paramref name="last"/> all are; otherwise the
    /// last few must be given again, followed by more.
    /// </summary>
    public int Decode(Span<byte> bytes, bool last)
    {
        var end = bytes.Length - OperandBytes;
        var i = 0;
        while (i < end)
        {
            var step = bytes[i..end].IndexOfAny((byte)0xE8, (byte)0xE9);
            if (step < 0)
            {
                Pass(end - i);
                i = end;
                break;
            }

            Pass(step);
            i += step;
            if (Convert(bytes.Slice(i + 1, OperandBytes), position + (uint)i + Lookahead))
            {
                recent = 0;
                i += Lookahead;
            }
            else
            {
                recent = (recent << 1 | 1) & 7;
                i++;
            }
        }

        var done = last ? bytes.Length : i;
        position += (uint)done;
        return done;
    }

    void Pass(int bytes) => recent = bytes > 2 ? 0 : recent << bytes & 7;

    /// <summary>The encoder skipped operands whose top byte is neither 0 nor FF, or that another opcode's bytes make ambiguous.</summary>
    bool Convert(Span<byte> operand, uint next)
    {
        var value = BinaryPrimitives.ReadUInt32LittleEndian(operand);
        // Where the nearest recent opcode's operand would have ended inside this one.
        var shift = 8 * (32 - BitOperations.LeadingZeroCount(recent));
        if (recent != 0 && (BitOperations.PopCount(recent) > 1 || IsSign((byte)(value >> 24 - shift)))
            || !IsSign((byte)(value >> 24)))
        {
            return false;
        }

        uint relative;
        while (true)
        {
            relative = value - next;
            if (recent == 0 || !IsSign((byte)(relative >> 24 - shift)))
            {
                break;
            }

            value = relative ^ (1u << 32 - shift) - 1;
        }

        relative = (uint)((int)(relative << 7) >> 7);
        BinaryPrimitives.WriteUInt32LittleEndian(operand, relative);
        return true;
    }

    static bool IsSign(byte value) => value is 0x00 or 0xFF;
}
