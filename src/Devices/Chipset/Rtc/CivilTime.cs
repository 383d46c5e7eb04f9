namespace Vmm.Chipset;

/// <summary>Calendar arithmetic on seconds since 1970-01-01 00:00:00 UTC, proleptic Gregorian, for any field values a guest may write.</summary>
static class CivilTime
{
    const int DaysPerEra = 146_097, EpochDays = 719_468;

    /// <summary>Seconds of a date; fields out of range carry on arithmetically, months are taken modulo 12.</summary>
    public static long ToSeconds(int year, int month, int day, int hour, int minute, int second)
    {
        var m = (month + 11) % 12 + 1;
        var y = m <= 2 ? year - 1 : year;
        var era = FloorDivide(y, 400);
        var yearOfEra = y - era * 400;
        var dayOfYear = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + day - 1;
        var dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear;
        var days = (long)era * DaysPerEra + dayOfEra - EpochDays;
        return ((days * 24 + hour) * 60 + minute) * 60 + second;
    }

    /// <summary>Year, month (1-12) and day (1-31) of a day number.</summary>
    public static (int Year, int Month, int Day) FromDays(long days)
    {
        var shifted = days + EpochDays;
        var era = Math.DivRem(shifted - (shifted < 0 ? DaysPerEra - 1 : 0), DaysPerEra).Quotient;
        var dayOfEra = (int)(shifted - era * DaysPerEra);
        var yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365;
        var dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100);
        var index = (5 * dayOfYear + 2) / 153;
        var month = index < 10 ? index + 3 : index - 9;
        return ((int)(era * 400 + yearOfEra + (month <= 2 ? 1 : 0)), month, dayOfYear - (153 * index + 2) / 5 + 1);
    }

    static int FloorDivide(int value, int by) => (value >= 0 ? value : value - by + 1) / by;
}
