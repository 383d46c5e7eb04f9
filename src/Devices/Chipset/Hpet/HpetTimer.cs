using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Chipset;

/// <summary>One comparator of the HPET (IA-PC HPET 1.0a §2.3.8).</summary>
sealed class HpetTimer(ClockTimer alarm)
{
    public const ulong Level = 1 << 1, IntEnable = 1 << 2, Periodic = 1 << 3, ValueSet = 1 << 6, Mode32 = 1 << 8;
    const ulong PeriodicCapable = 1 << 4, Size64 = 1 << 5;
    const ulong Writable = 0x3F4E;

    /// <summary>Inputs 20 to 23 of the I/O APIC.</summary>
    const ulong RouteCapabilities = 0x00F0_0000ul << 32;

    ulong configuration;
    ulong comparator = ulong.MaxValue;
    ulong period;

    /// <summary>The event that rings at the next match.</summary>
    public ClockTimer Alarm => alarm;

    /// <summary>Tn_CONF.</summary>
    public ulong Configuration => configuration | RouteCapabilities | PeriodicCapable | Size64;

    /// <summary>Tn_COMP.</summary>
    public ulong Comparator => comparator & Mask;

    /// <summary>Tn_INT_ROUTE_CNF.</summary>
    public int Route => (int)(configuration >> 9 & 31);

    /// <summary>The interrupt is level-triggered.</summary>
    public bool IsLevel => (configuration & Level) != 0;

    /// <summary>Interrupts are enabled.</summary>
    public bool IsEnabled => (configuration & IntEnable) != 0;

    ulong Mask => (configuration & Mode32) != 0 ? 0xFFFF_FFFF : ulong.MaxValue;

    /// <summary>Power-up state.</summary>
    public void Reset()
    {
        configuration = 0;
        comparator = ulong.MaxValue;
        period = 0;
        alarm.Disarm();
    }

    /// <summary>Writes Tn_CONF. Routes that the capability bits do not name read back as zero.</summary>
    public void WriteConfiguration(ulong value)
    {
        configuration = value & Writable;
        if ((RouteCapabilities >> 32 >> Route & 1) == 0)
        {
            configuration &= ~0x3E00ul;
        }
    }

    /// <summary>
    /// Writes the bytes of Tn_COMP that <paramref name="mask"/> covers: in periodic mode of the period, and of the comparator
    /// itself only while Tn_VAL_SET_CNF is set.
    /// </summary>
    public void WriteComparator(ulong value, ulong mask)
    {
        var periodic = (configuration & Periodic) != 0;
        if (periodic)
        {
            period = (period & ~mask | value) & Mask;
        }

        if (!periodic || (configuration & ValueSet) != 0)
        {
            comparator = (comparator & ~mask | value) & Mask;
        }

        configuration &= ~ValueSet;
    }

    /// <summary>Counts from <paramref name="counter"/> until the next match: 1 to 2^64-1, 0 for a whole turn of 64 bits.</summary>
    public ulong Wait(ulong counter)
    {
        var wait = comparator - counter & Mask;
        return wait == 0 ? Mask + 1 : wait;
    }

    /// <summary>A match happened by <paramref name="counter"/>: a periodic comparator moves past it.</summary>
    public void Advance(ulong counter)
    {
        if ((configuration & Periodic) == 0 || period == 0)
        {
            return;
        }

        var late = counter - comparator & Mask;
        comparator = comparator + (late / period + 1) * period & Mask;
    }

    /// <summary>Saves the comparator.</summary>
    public void Save(SnapshotWriter writer)
    {
        writer.U64(configuration);
        writer.U64(comparator);
        writer.U64(period);
        writer.Timer(alarm);
    }

    /// <summary>Loads what <see cref="Save"/> wrote.</summary>
    public void Load(SnapshotReader reader)
    {
        WriteConfiguration(reader.U64());
        comparator = reader.U64();
        period = reader.U64();
        reader.Timer(alarm);
    }
}
