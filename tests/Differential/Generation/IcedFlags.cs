using Iced.Intel;

namespace Vmm.Differential.Generation;

/// <summary>Iced's flag set as bits of RFLAGS.</summary>
internal static class IcedFlags
{
    public static ulong ToEflags(RflagsBits bits)
    {
        var flags = 0ul;
        Add(RflagsBits.CF, 0);
        Add(RflagsBits.PF, 2);
        Add(RflagsBits.AF, 4);
        Add(RflagsBits.ZF, 6);
        Add(RflagsBits.SF, 7);
        Add(RflagsBits.DF, 10);
        Add(RflagsBits.OF, 11);
        return flags;

        void Add(RflagsBits bit, int position) => flags |= (bits & bit) != 0 ? 1ul << position : 0;
    }
}
