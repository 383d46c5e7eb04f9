using Vmm.Cpu.Float;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <summary>FSQRT, FRNDINT, F2XM1, FSIN, FCOS: ST(0) by its own function.</summary>
internal readonly unsafe struct X87Unary : IX87
{
    public const int SquareRoot = 0, Round = 1, Exponential = 2, Sine = 3, Cosine = 4;

    public static bool Run(CpuState* s, Op* op)
    {
        if (X87.IsEmpty(s, 0))
        {
            if (X87.StackFault(s))
            {
                X87.Write(s, 0, Float80.Indefinite);
            }

            return true;
        }

        var c = X87.Context(s);
        var complete = true;
        var value = X87.Read(s, 0);
        var result = op->Aux switch
        {
            SquareRoot => Float80.SquareRoot(value, ref c),
            Round => Float80.RoundToIntegral(value, ref c),
            Exponential => Float80.Exponential(value, ref c),
            _ => Angle(op->Aux, value, out complete, ref c),
        };
        if (X87.Accept(s, c))
        {
            X87.Write(s, 0, result);
        }

        if (op->Aux >= Sine)
        {
            X87.SetCodes(s, X87.C2, complete ? 0 : X87.C2);
        }

        return true;
    }

    static Float80 Angle(int function, Float80 value, out bool complete, ref FloatContext c)
    {
        complete = function == Sine
            ? Float80.TrySine(value, out var result, ref c)
            : Float80.TryCosine(value, out result, ref c);
        return result;
    }
}

/// <summary>FSCALE, FPREM, FPREM1 (to ST(0)), FPATAN, FYL2X, FYL2XP1 (to ST(1), then a pop).</summary>
internal readonly unsafe struct X87Binary : IX87
{
    public const int Scale = 0, Remainder = 1, NearRemainder = 2, ArcTangent = 3, Logarithm = 4, LogarithmPlusOne = 5;

    public static bool Run(CpuState* s, Op* op)
    {
        var pops = op->Aux >= ArcTangent ? 1 : 0;
        if (X87.IsEmpty(s, 0) || X87.IsEmpty(s, 1))
        {
            X87.SetCodes(s, op->Aux is Remainder or NearRemainder ? X87.C2 : 0, 0);
            return !X87.StackFault(s) || Finish(s, pops, Float80.Indefinite);
        }

        var c = X87.Context(s);
        var x = X87.Read(s, 0);
        var y = X87.Read(s, 1);
        if (op->Aux is Remainder or NearRemainder)
        {
            return RunRemainder(s, x, y, op->Aux == NearRemainder, ref c);
        }

        var result = op->Aux switch
        {
            Scale => Float80.Scale(x, y, ref c),
            ArcTangent => Float80.ArcTangent(y, x, ref c),
            Logarithm => Float80.Logarithm(y, x, ref c),
            _ => Float80.LogarithmPlusOne(y, x, ref c),
        };
        return !X87.Accept(s, c) || Finish(s, pops, result);
    }

    static bool Finish(CpuState* s, int pops, Float80 result)
    {
        X87.Write(s, pops, result);
        X87.Pop(s, pops);
        return true;
    }

    static bool RunRemainder(CpuState* s, Float80 x, Float80 y, bool nearest, ref FloatContext c)
    {
        X87.SetCodes(s, X87.C2, 0);
        var result = Float80.Remainder(x, y, nearest, out var quotient, out var partial, ref c);
        if (!X87.Accept(s, c))
        {
            return true;
        }

        X87.Write(s, 0, result);
        if (quotient >= 0)
        {
            var codes = (quotient & 4) != 0 ? X87.C0 : 0;
            codes |= (quotient & 2) != 0 ? X87.C3 : 0;
            codes |= (quotient & 1) != 0 ? X87.C1 : 0;
            X87.SetCodes(s, X87.Codes, codes | (partial ? X87.C2 : 0));
        }

        return true;
    }
}

/// <summary>FXTRACT, FSINCOS, FPTAN: replace ST(0) and push a second result.</summary>
internal readonly unsafe struct X87Pushing : IX87
{
    public const int Extract = 0, SineCosine = 1, Tangent = 2;

    public static bool Run(CpuState* s, Op* op)
    {
        var underflow = X87.IsEmpty(s, 0);
        if (underflow || !X87.IsEmpty(s, -1))
        {
            return !X87.StackFault(s, !underflow) || Finish(s, Float80.Indefinite, Float80.Indefinite);
        }

        var c = X87.Context(s);
        var complete = true;
        Float80 second;
        var first = op->Aux switch
        {
            Extract => Float80.Extract(X87.Read(s, 0), out second, ref c),
            SineCosine => Angles(X87.Read(s, 0), out second, out complete, ref c),
            _ => TangentOf(X87.Read(s, 0), out second, out complete, ref c),
        };
        if (X87.Accept(s, c) && complete)
        {
            Finish(s, first, second);
        }

        if (op->Aux != Extract)
        {
            X87.SetCodes(s, X87.C2, complete ? 0 : X87.C2);
        }

        return true;
    }

    static bool Finish(CpuState* s, Float80 first, Float80 second)
    {
        X87.Write(s, 0, first);
        X87.Push(s, second);
        return true;
    }

    static Float80 Angles(Float80 value, out Float80 cosine, out bool complete, ref FloatContext c)
    {
        complete = Float80.TrySineAndCosine(value, out var sine, out cosine, ref c);
        return sine;
    }

    // A NaN is pushed in place of the 1.
    static Float80 TangentOf(Float80 value, out Float80 second, out bool complete, ref FloatContext c)
    {
        complete = Float80.TryTangent(value, out var tangent, ref c);
        second = Unpacked.From(tangent).IsNotNumber ? tangent : Float80.One;
        return tangent;
    }
}
