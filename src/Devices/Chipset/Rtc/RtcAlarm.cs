namespace Vmm.Chipset;

/// <summary>Hour, minute and second of the alarm; -1 matches any value. Values that no clock shows never match.</summary>
readonly record struct RtcAlarm(int Hour, int Minute, int Second)
{
    const int DaySeconds = 86_400;

    /// <summary>Seconds from <paramref name="now"/> to the next match after it: 1 to 86400; false when none comes.</summary>
    public bool TryNext(long now, out long wait)
    {
        var time = (int)((now + 1) % DaySeconds + DaySeconds) % DaySeconds;
        wait = 0;
        if (Hour > 23 || Minute > 59 || Second > 59)
        {
            return false;
        }

        if (!TryFind(time, out var found))
        {
            // Tomorrow: the first match of a day.
            TryFind(0, out found);
            found += DaySeconds;
        }

        wait = found - time + 1;
        return true;
    }

    /// <summary>First match in the day at or after <paramref name="time"/>.</summary>
    bool TryFind(int time, out int found)
    {
        for (var minute = time / 60; minute < 1440; minute++)
        {
            if (Hour >= 0 && minute / 60 != Hour)
            {
                minute = minute / 60 < Hour ? Hour * 60 - 1 : 1440;
                continue;
            }

            if (Minute >= 0 && minute % 60 != Minute)
            {
                continue;
            }

            var from = minute == time / 60 ? time % 60 : 0;
            if (Second < 0 || Second >= from)
            {
                found = minute * 60 + (Second < 0 ? from : Second);
                return true;
            }
        }

        found = 0;
        return false;
    }
}
