using Vmm.Cpu.Float;

namespace Vmm.Unit.Cpu.Float;

/// <summary>The x87 instructions of the host comparison, by name.</summary>
internal static class X87Instructions
{
    private const ushort Codes = 0x4700;

    private delegate Float80 Operation(Float80 a, Float80 b, ref FloatContext c);

    private delegate Float80 MemoryOperation(Float80 a, in Unpacked m, ref FloatContext c);

    private delegate ulong StoreOperation(Float80 a, ref FloatContext c);

    public static readonly HostInstruction[] All =
    [
        Register("fadd", (Float80 a, Float80 b, ref FloatContext c) => Float80.Add(U(a), U(b), ref c)),
        Register("fsub", (Float80 a, Float80 b, ref FloatContext c) => Float80.Subtract(U(a), U(b), ref c)),
        Register("fsubr", (Float80 a, Float80 b, ref FloatContext c) => Float80.Subtract(U(b), U(a), ref c)),
        Register("fmul", (Float80 a, Float80 b, ref FloatContext c) => Float80.Multiply(U(a), U(b), ref c)),
        Register("fdiv", (Float80 a, Float80 b, ref FloatContext c) => Float80.Divide(U(a), U(b), ref c)),
        Register("fdivr", (Float80 a, Float80 b, ref FloatContext c) => Float80.Divide(U(b), U(a), ref c)),
        Register("fsqrt", (Float80 a, Float80 b, ref FloatContext c) => Float80.SquareRoot(a, ref c)),
        Register("frndint", (Float80 a, Float80 b, ref FloatContext c) => Float80.RoundToIntegral(a, ref c)),
        Register("fscale", (Float80 a, Float80 b, ref FloatContext c) => Float80.Scale(a, b, ref c)),
        Memory("fadds", r => Unpacked.FromBinary32((uint)r.M), (Float80 a, in Unpacked m, ref FloatContext c) => Float80.Add(U(a), m, ref c)),
        Memory("faddl", r => Unpacked.FromBinary64(r.M), (Float80 a, in Unpacked m, ref FloatContext c) => Float80.Add(U(a), m, ref c)),
        Memory("fsubs", r => Unpacked.FromBinary32((uint)r.M), (Float80 a, in Unpacked m, ref FloatContext c) => Float80.Subtract(U(a), m, ref c)),
        Memory("fdivl", r => Unpacked.FromBinary64(r.M), (Float80 a, in Unpacked m, ref FloatContext c) => Float80.Divide(U(a), m, ref c)),
        Memory("fiadds", r => Unpacked.FromInteger((short)r.M), (Float80 a, in Unpacked m, ref FloatContext c) => Float80.Add(U(a), m, ref c)),
        Memory("fimull", r => Unpacked.FromInteger((int)r.M), (Float80 a, in Unpacked m, ref FloatContext c) => Float80.Multiply(U(a), m, ref c)),
        new("fxtract", false, false, Extract) { WordMask = 0x23F },
        new("fprem", false, false, (ref HostRecord r) => Remainder(ref r, false)) { WordMask = 0x3F | Codes, Undefined = IsPartial, DefinedWordMask = 0x43F },
        new("fprem1", false, false, (ref HostRecord r) => Remainder(ref r, true)) { WordMask = 0x3F | Codes, Undefined = IsPartial, DefinedWordMask = 0x43F },
        Comparing("fcom", r => U(r.ST1), true),
        Comparing("fucom", r => U(r.ST1), false),
        Comparing("ftst", r => default, true),
        Comparing("fcoms", r => Unpacked.FromBinary32((uint)r.M), true),
        Comparing("fcoml", r => Unpacked.FromBinary64(r.M), true),
        Comparing("ficoms", r => Unpacked.FromInteger((short)r.M), true),
        Comparing("ficoml", r => Unpacked.FromInteger((int)r.M), true),
        ComparingFlags("fcomi", true),
        ComparingFlags("fucomi", false),
        Loading("flds", (ref HostRecord r, ref FloatContext c) => Float80.FromUnpacked(Unpacked.FromBinary32((uint)r.M), ref c)),
        Loading("fldl", (ref HostRecord r, ref FloatContext c) => Float80.FromUnpacked(Unpacked.FromBinary64(r.M), ref c)),
        Loading("filds", (ref HostRecord r, ref FloatContext c) => Float80.FromInteger((short)r.M)),
        Loading("fildl", (ref HostRecord r, ref FloatContext c) => Float80.FromInteger((int)r.M)),
        Loading("fildll", (ref HostRecord r, ref FloatContext c) => Float80.FromInteger((long)r.M)),
        Loading("fbld", (ref HostRecord r, ref FloatContext c) => Float80.FromDecimal(r.M, (ushort)r.MHigh)) with { Prepare = MakeDecimal },
        Storing("fsts", 4, (Float80 a, ref FloatContext c) => Float80.ToBinary32(a, ref c)),
        Storing("fstl", 8, (Float80 a, ref FloatContext c) => Float80.ToBinary64(a, ref c)),
        Storing("fists", 2, (Float80 a, ref FloatContext c) => (ulong)Float80.ToInteger(a, 16, c.Rounding, ref c)),
        Storing("fistl", 4, (Float80 a, ref FloatContext c) => (ulong)Float80.ToInteger(a, 32, c.Rounding, ref c)),
        Storing("fistpll", 8, (Float80 a, ref FloatContext c) => (ulong)Float80.ToInteger(a, 64, c.Rounding, ref c), pops: true),
        Storing("fisttps", 2, (Float80 a, ref FloatContext c) => (ulong)Float80.ToInteger(a, 16, FloatRounding.Truncate, ref c), pops: true),
        Storing("fisttpl", 4, (Float80 a, ref FloatContext c) => (ulong)Float80.ToInteger(a, 32, FloatRounding.Truncate, ref c), pops: true),
        Storing("fisttpll", 8, (Float80 a, ref FloatContext c) => (ulong)Float80.ToInteger(a, 64, FloatRounding.Truncate, ref c), pops: true),
        new("fbstp", false, false, StoreDecimal),
    ];

    /// <summary>The instructions whose results may differ from the host's in the last place.</summary>
    public static readonly HostInstruction[] Transcendental =
    [
        Angular("fsin", (Float80 a, out Float80 r, ref FloatContext c) => Float80.TrySine(a, out r, ref c)),
        Angular("fcos", (Float80 a, out Float80 r, ref FloatContext c) => Float80.TryCosine(a, out r, ref c)),
        new("fsincos", false, false, SineAndCosine) { WordMask = 0x43F },
        new("fptan", false, false, Tangent) { WordMask = 0x43F },
        Popping("fpatan", (Float80 a, Float80 b, ref FloatContext c) => Float80.ArcTangent(b, a, ref c)),
        Popping("fyl2x", (Float80 a, Float80 b, ref FloatContext c) => Float80.Logarithm(b, a, ref c)),
        Popping("fyl2xp1", (Float80 a, Float80 b, ref FloatContext c) => Float80.LogarithmPlusOne(b, a, ref c))
            with { Prepare = (ref HostRecord r) => Limit(ref r, 0x3FFC) },
        Register("f2xm1", (Float80 a, Float80 b, ref FloatContext c) => Float80.Exponential(a, ref c))
            with { WordMask = 0x3F, Prepare = (ref HostRecord r) => Limit(ref r, 0x3FFE) },
    ];

    private delegate bool AngleOperation(Float80 a, out Float80 r, ref FloatContext c);

    private delegate Float80 LoadOperation(ref HostRecord r, ref FloatContext c);

    private static Unpacked U(Float80 value) => Unpacked.From(value);

    private static HostInstruction Register(string name, Operation operation)
        => new(name, false, false, (ref HostRecord r) =>
        {
            FloatContext c = FloatContext.FromControlWord(r.Word);
            Float80 result = operation(r.ST0, r.ST1, ref c);
            r.ST0 = c.Stopped ? r.ST0 : result;
            SetStatus(ref r, c);
        });

    private static HostInstruction Memory(string name, Func<HostRecord, Unpacked> operand, MemoryOperation operation)
        => new(name, false, false, (ref HostRecord r) =>
        {
            FloatContext c = FloatContext.FromControlWord(r.Word);
            Float80 result = operation(r.ST0, operand(r), ref c);
            r.ST0 = c.Stopped ? r.ST0 : result;
            SetStatus(ref r, c);
        });

    private static HostInstruction Comparing(string name, Func<HostRecord, Unpacked> operand, bool signalling)
        => new(name, false, false, (ref HostRecord r) =>
        {
            FloatContext c = FloatContext.FromControlWord(r.Word);
            FloatOrder order = Float80.Compare(U(r.ST0), operand(r), signalling, ref c);
            SetStatus(ref r, c);
            r.Word |= order switch { FloatOrder.Less => 0x100, FloatOrder.Equal => 0x4000, FloatOrder.Greater => 0, _ => 0x4500 };
        })
        { WordMask = 0x3F | Codes };

    private static HostInstruction ComparingFlags(string name, bool signalling)
        => new(name, false, false, (ref HostRecord r) =>
        {
            FloatContext c = FloatContext.FromControlWord(r.Word);
            FloatOrder order = Float80.Compare(U(r.ST0), U(r.ST1), signalling, ref c);
            SetStatus(ref r, c);
            r.Flags = order switch { FloatOrder.Less => 1, FloatOrder.Equal => 0x40, FloatOrder.Greater => 0, _ => 0x45 };
        })
        { WordMask = 0x23F, FlagsMask = 0x8D5 };

    private static HostInstruction Loading(string name, LoadOperation operation)
        => new(name, false, false, (ref HostRecord r) =>
        {
            FloatContext c = FloatContext.FromControlWord(r.Word);
            Float80 result = operation(ref r, ref c);
            if ((c.Unmasked & FloatFlags.IE) == 0)
            {
                r.ST1 = r.ST0;
                r.ST0 = result;
            }

            SetStatus(ref r, c);
        });

    private static HostInstruction Storing(string name, int bytes, StoreOperation operation, bool pops = false)
        => new(name, false, false, (ref HostRecord r) =>
        {
            FloatContext c = FloatContext.FromControlWord(r.Word);
            ulong result = operation(r.ST0, ref c);
            ulong mask = ulong.MaxValue >> (64 - (8 * bytes));
            if (!c.Stopped && (c.Unmasked & (FloatFlags.OE | FloatFlags.UE)) == 0)
            {
                r.M = (r.M & ~mask) | (result & mask);
                if (pops)
                {
                    Pop(ref r);
                }
            }

            SetStatus(ref r, c);
        });

    private static void StoreDecimal(ref HostRecord r)
    {
        FloatContext c = FloatContext.FromControlWord(r.Word);
        ulong digits = Float80.ToDecimal(r.ST0, out ushort top, ref c);
        if (!c.Stopped)
        {
            r.M = digits;
            r.MHigh = (r.MHigh & ~0xFFFFUL) | top;
            Pop(ref r);
        }

        SetStatus(ref r, c);
    }

    // The popped register becomes ST(7); the one that was ST(2), empty since FNINIT, is not compared.
    private static void Pop(ref HostRecord r)
    {
        r.ST0 = r.ST1;
        r.ST1 = default;
    }

    private static HostInstruction Angular(string name, AngleOperation operation)
        => new(name, false, false, (ref HostRecord r) =>
        {
            FloatContext c = FloatContext.FromControlWord(r.Word);
            bool complete = operation(r.ST0, out Float80 result, ref c);
            r.ST0 = c.Stopped ? r.ST0 : result;
            SetStatus(ref r, c);
            r.Word |= (ushort)(complete ? 0 : 0x400);
        })
        { WordMask = 0x43F };

    private static HostInstruction Popping(string name, Operation operation)
        => new(name, false, false, (ref HostRecord r) =>
        {
            FloatContext c = FloatContext.FromControlWord(r.Word);
            Float80 result = operation(r.ST0, r.ST1, ref c);
            if (!c.Stopped)
            {
                r.ST1 = result;
                Pop(ref r);
            }

            SetStatus(ref r, c);
        })
        { WordMask = 0x3F };

    // Larger arguments have no defined result.
    private static void Limit(ref HostRecord r, int biased)
    {
        Float80 a = r.ST0;
        if (a.Biased > biased && a.Biased < 0x7FFF)
        {
            r.ST0 = new(a.Significand, (ushort)((biased - (a.Biased & 63)) | (a.SignExponent & 0x8000)));
        }
    }

    private static void SineAndCosine(ref HostRecord r)
    {
        FloatContext c = FloatContext.FromControlWord(r.Word);
        bool complete = Float80.TrySineAndCosine(r.ST0, out Float80 sine, out Float80 cosine, ref c);
        if (!c.Stopped && complete)
        {
            (r.ST0, r.ST1) = (cosine, sine);
        }

        SetStatus(ref r, c);
        r.Word |= (ushort)(complete ? 0 : 0x400);
    }

    private static void Tangent(ref HostRecord r)
    {
        FloatContext c = FloatContext.FromControlWord(r.Word);
        bool complete = Float80.TryTangent(r.ST0, out Float80 tangent, ref c);
        if (!c.Stopped && complete)
        {
            bool special = Unpacked.From(tangent).IsNotNumber;
            (r.ST0, r.ST1) = (special ? tangent : Float80.One, tangent);
        }

        SetStatus(ref r, c);
        r.Word |= (ushort)(complete ? 0 : 0x400);
    }

    private static void Extract(ref HostRecord r)
    {
        FloatContext c = FloatContext.FromControlWord(r.Word);
        Float80 exponent = Float80.Extract(r.ST0, out Float80 significand, ref c);
        if (!c.Stopped)
        {
            r.ST0 = significand;
            r.ST1 = exponent;
        }

        SetStatus(ref r, c);
    }

    private static void Remainder(ref HostRecord r, bool nearest)
    {
        FloatContext c = FloatContext.FromControlWord(r.Word);
        Float80 result = Float80.Remainder(r.ST0, r.ST1, nearest, out int quotient, out bool partial, ref c);
        r.ST0 = c.Stopped ? r.ST0 : result;
        SetStatus(ref r, c);
        if (quotient >= 0)
        {
            r.Word |= (ushort)(((quotient & 4) << 6) | ((quotient & 2) << 13) | ((quotient & 1) << 9) | (partial ? 0x400 : 0));
        }
    }

    // How far a partial remainder gets is left to the implementation.
    private static bool IsPartial(HostRecord r) => (r.Word & 0x400) != 0;

    // What becomes of other digits is undefined.
    private static void MakeDecimal(ref HostRecord r)
    {
        for (int shift = 0; shift < 64; shift += 4)
        {
            r.M = ((r.M >> shift) & 15) > 9 ? r.M ^ (8UL << shift) : r.M;
            r.MHigh = shift < 8 && ((r.MHigh >> shift) & 15) > 9 ? r.MHigh ^ (8UL << shift) : r.MHigh;
        }
    }

    private static void SetStatus(ref HostRecord r, in FloatContext c)
        => r.Word = (ushort)((int)c.Flags | (c.RoundedUp ? 0x200 : 0));
}
