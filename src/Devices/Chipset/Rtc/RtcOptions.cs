namespace Vmm.Chipset;

/// <summary>What the clock shows at the start and what firmware has left in CMOS memory.</summary>
public sealed record RtcOptions
{
    /// <summary>Seconds since 1970 (UTC) at virtual time zero.</summary>
    public long Epoch { get; init; } = 1_767_225_600;

    /// <summary>RAM from address 0 up to the PCI hole, in bytes.</summary>
    public ulong MemoryBelow4G { get; init; }

    /// <summary>RAM from 4 GiB up, in bytes.</summary>
    public ulong MemoryAbove4G { get; init; }

    /// <summary>Number of processors.</summary>
    public int Processors { get; init; } = 1;
}

/// <summary>Registers of the MC146818 and of CMOS memory.</summary>
static class RtcRegister
{
    public const int Seconds = 0, SecondsAlarm = 1, Minutes = 2, MinutesAlarm = 3, Hours = 4, HoursAlarm = 5, WeekDay = 6,
        Day = 7, Month = 8, Year = 9, A = 10, B = 11, C = 12, D = 13, Century = 0x32, CenturyAlias = 0x37;

    /// <summary>Bytes that show the running time.</summary>
    public static bool IsTime(int index) => index is Seconds or Minutes or Hours or (>= WeekDay and <= Year) or Century;

    /// <summary>Fills the configuration bytes as PC firmware and QEMU do (memory in KiB or 64 KiB units, processor count).</summary>
    public static void FillConfiguration(Span<byte> cmos, RtcOptions options)
    {
        const ulong K = 1024, M = K * K;
        var below = options.MemoryBelow4G;
        var extended = Math.Min(below > M ? (below - M) / K : 0, 0xFFFF);
        var above16 = Math.Min(below > 16 * M ? (below - 16 * M) / (64 * K) : 0, 0xFFFF);
        var above4G = Math.Min(options.MemoryAbove4G / (64 * K), 0xFF_FFFF);
        cmos[0x14] = 0x06;
        Put(cmos, 0x15, Math.Min(below / K, 640), 2);
        Put(cmos, 0x17, extended, 2);
        Put(cmos, 0x30, extended, 2);
        Put(cmos, 0x34, above16, 2);
        Put(cmos, 0x5B, above4G, 3);
        cmos[0x5F] = (byte)Math.Clamp(options.Processors - 1, 0, 255);
    }

    static void Put(Span<byte> cmos, int at, ulong value, int bytes)
    {
        for (var i = 0; i < bytes; i++)
        {
            cmos[at + i] = (byte)(value >> i * 8);
        }
    }
}
