using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using Iced.Intel;
using Vmm.Firmware.BuiltIn.Runtime;

namespace Vmm.Firmware.BuiltIn;

/// <summary>
/// A line that the guest composes when it runs. Numbers may be followed by a format: x hexadecimal, xN with N digits,
/// dN decimal in N columns, zN with leading zeros, k thousandths with a decimal point, s text, sN at most N characters.
/// Values are registers that calls preserve, variables, or constants.
/// </summary>
[InterpolatedStringHandler]
internal readonly struct GuestText
{
    readonly List<(Operand Value, string Format)> pieces = [];

    /// <summary>Starts empty.</summary>
    public GuestText(int literalLength, int formattedCount)
    {
        _ = literalLength + formattedCount;
    }

    /// <summary>What to print, in order.</summary>
    public IReadOnlyList<(Operand Value, string Format)> Pieces => pieces;

    /// <summary>Adds constant text.</summary>
    public void AppendLiteral(string text) => pieces.Add((text, "s"));

    /// <summary>Adds a value.</summary>
    public void AppendFormatted(Operand value, string format = "d") => pieces.Add((value, format));
}

/// <content>Printing.</content>
internal sealed partial class Guest
{
    static readonly Register[] Preserved = [Register.RBX, Register.RBP, Register.R12, Register.R13, Register.R14, Register.R15];

    /// <summary>Prints a text.</summary>
    public void Print(GuestText text)
    {
        foreach (var (value, format) in text.Pieces)
        {
            RequirePreserved(value);
            var count = format.Length > 1 ? int.Parse(format.AsSpan(1), CultureInfo.InvariantCulture) : 0;
            switch (format[0])
            {
                case 's' when count != 0:
                    Call(Console.PutField, value, count);
                    break;
                case 's':
                    Call(Console.PutText, value);
                    break;
                case 'x':
                    Call(Console.PutHex, value, count);
                    break;
                case 'k':
                    Call(Console.PutThousandths, value);
                    break;
                default:
                    Call(Console.PutDecimal, value, count, format[0] == 'z' ? '0' : ' ');
                    break;
            }
        }
    }

    static void RequirePreserved(Operand value)
    {
        var register = value.Kind switch
        {
            Operand.Source.Register => value.Register.Value,
            Operand.Source.Register32 => value.Register32.Value.GetFullRegister(),
            Operand.Source.Memory when value.Memory.Base != Register.None => value.Memory.Base,
            _ => Register.RBX,
        };
        if (!Preserved.AsSpan().Contains(register))
        {
            throw new InvalidOperationException($"{register} does not survive printing");
        }
    }
}
