using Vmm.Specs.X86;
using F = Vmm.Specs.X86.VmcsField;

namespace Vmm.Cpu.Vmx;

/// <content>Checks on guest segment registers (SDM 3C §27.3.1.2).</content>
public static partial class EntryChecks
{
    // The eight registers follow each other in the order ES CS SS DS FS GS LDTR TR, in each of the four areas.
    const int Es = 0, Cs = 1, Ss = 2, Ds = 3, Fs = 4, Gs = 5, Ldtr = 6, Tr = 7;

    static F Selector(int number) => F.GuestEsSelector + (ushort)(number * 2);

    static F Base(int number) => F.GuestEsBase + (ushort)(number * 2);

    static F Limit(int number) => F.GuestEsLimit + (ushort)(number * 2);

    static F Rights(int number) => F.GuestEsAccess + (ushort)(number * 2);

    static bool IsUsable(Vmcs v, int number) => (v[Rights(number)] & 1 << 16) == 0;

    static int Type(Vmcs v, int number) => (int)v[Rights(number)] & 15;

    static int Dpl(Vmcs v, int number) => (int)v[Rights(number)] >> 5 & 3;

    static int Rpl(Vmcs v, int number) => (int)v[Selector(number)] & 3;

    static void CheckSegments(ref Checker check, Vmcs v, in GuestView guest)
    {
        check.Require((v[F.GuestTrSelector] & 4) == 0, F.GuestTrSelector, "names the LDT");
        check.Require(!IsUsable(v, Ldtr) || (v[F.GuestLdtrSelector] & 4) == 0, F.GuestLdtrSelector, "names the LDT");
        if (!guest.IsVirtual8086 && !guest.IsUnrestricted)
        {
            check.Require(Rpl(v, Ss) == Rpl(v, Cs), F.GuestSsSelector, "has another RPL than CS");
        }

        CheckBases(ref check, v, guest);
        if (guest.IsVirtual8086)
        {
            for (var i = Es; i <= Gs; i++)
            {
                check.Require(v[Limit(i)] == 0xFFFF, Limit(i), "is not 0xFFFF in virtual-8086 mode");
                check.Require(v[Rights(i)] == 0xF3, Rights(i), "are not 0xF3 in virtual-8086 mode");
            }
        }
        else
        {
            CheckCode(ref check, v, guest);
            CheckStack(ref check, v, guest);
            foreach (var i in (ReadOnlySpan<int>)[Ds, Es, Fs, Gs])
            {
                CheckData(ref check, v, guest, i);
            }
        }

        CheckSystem(ref check, v, guest);
    }

    static void CheckBases(ref Checker check, Vmcs v, in GuestView guest)
    {
        for (var i = Es; i <= Gs && guest.IsVirtual8086; i++)
        {
            check.Require(v[Base(i)] == v[Selector(i)] << 4, Base(i), "is not the selector times 16 in virtual-8086 mode");
        }

        foreach (var i in (ReadOnlySpan<int>)[Tr, Fs, Gs])
        {
            check.Require(IsCanonical(v[Base(i)]), Base(i), "is not canonical");
        }

        check.Require(!IsUsable(v, Ldtr) || IsCanonical(v[F.GuestLdtrBase]), F.GuestLdtrBase, "is not canonical");
        check.Require(v[F.GuestCsBase] >> 32 == 0, F.GuestCsBase, "has bits above 31");
        foreach (var i in (ReadOnlySpan<int>)[Ss, Ds, Es])
        {
            check.Require(!IsUsable(v, i) || v[Base(i)] >> 32 == 0, Base(i), "has bits above 31");
        }
    }

    static void CheckCode(ref Checker check, Vmcs v, in GuestView guest)
    {
        var type = Type(v, Cs);
        check.Require(type is 9 or 11 or 13 or 15 || (type == 3 && guest.IsUnrestricted), F.GuestCsAccess, "is not an accessed code segment");
        var dpl = Dpl(v, Cs);
        check.Require(
            type switch { 3 => dpl == 0, 9 or 11 => dpl == Dpl(v, Ss), _ => dpl <= Dpl(v, Ss) }, F.GuestCsAccess, "has a DPL that does not go with SS");
        check.Require(!guest.IsLong || (v[F.GuestCsAccess] & 0x6000) != 0x6000, F.GuestCsAccess, "has both L and D");
        CheckCommon(ref check, v, Cs, true);
    }

    static void CheckStack(ref Checker check, Vmcs v, in GuestView guest)
    {
        var dpl = Dpl(v, Ss);
        check.Require(guest.IsUnrestricted || dpl == Rpl(v, Ss), F.GuestSsAccess, "has a DPL that is not its RPL");
        check.Require((Type(v, Cs) != 3 && guest.IsProtected) || dpl == 0, F.GuestSsAccess, "has a DPL other than 0 in real mode");
        if (IsUsable(v, Ss))
        {
            check.Require(Type(v, Ss) is 3 or 7, F.GuestSsAccess, "is not an accessed writable data segment");
            CheckCommon(ref check, v, Ss, true);
        }
    }

    static void CheckData(ref Checker check, Vmcs v, in GuestView guest, int number)
    {
        if (!IsUsable(v, number))
        {
            return;
        }

        var type = Type(v, number);
        check.Require((type & 1) != 0, Rights(number), "is not accessed");
        check.Require((type & 8) == 0 || (type & 2) != 0, Rights(number), "is code that cannot be read");
        check.Require(guest.IsUnrestricted || type > 11 || Dpl(v, number) >= Rpl(v, number), Rights(number), "has a DPL below its RPL");
        CheckCommon(ref check, v, number, true);
    }

    /// <summary>S, P, reserved bits, and granularity against the limit.</summary>
    static void CheckCommon(ref Checker check, Vmcs v, int number, bool codeOrData)
    {
        var rights = v[Rights(number)];
        var limit = v[Limit(number)];
        check.Require((rights & 0x10) != 0 == codeOrData, Rights(number), "has the wrong S");
        check.Require((rights & 0x80) != 0, Rights(number), "is not present");
        check.Require((rights & 0xFFFE_0F00) == 0, Rights(number), "has a reserved bit set");
        var granular = (rights & 0x8000) != 0;
        check.Require(!granular || (limit & 0xFFF) == 0xFFF, Rights(number), "has G with a limit that does not end in 0xFFF");
        check.Require(granular || limit >> 20 == 0, Rights(number), "lacks G for its limit");
    }

    static void CheckSystem(ref Checker check, Vmcs v, in GuestView guest)
    {
        check.Require(Type(v, Tr) == 11 || (Type(v, Tr) == 3 && !guest.IsLong), F.GuestTrAccess, "is not a busy TSS");
        check.Require(IsUsable(v, Tr), F.GuestTrAccess, "is unusable");
        CheckCommon(ref check, v, Tr, false);
        if (IsUsable(v, Ldtr))
        {
            check.Require(Type(v, Ldtr) == 2, F.GuestLdtrAccess, "is not an LDT");
            CheckCommon(ref check, v, Ldtr, false);
        }
    }
}
