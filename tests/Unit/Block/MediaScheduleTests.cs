using Vmm.Platform.Block;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;
using Xunit;

namespace Vmm.Unit.Block;

/// <summary>When the media of a disk have served a command; the clock ticks in nanoseconds here.</summary>
public sealed class MediaScheduleTests
{
    readonly VirtualClock clock = new(1_000_000_000);

    static MediaTimes Times => new() { ReadNanoseconds = 100, WriteNanoseconds = 200, FlushNanoseconds = 400 };

    [Fact]
    public void Each_kind_has_its_time_and_data_add_theirs()
    {
        var media = new MediaSchedule(clock, Times with { NanosecondsPerKibibyte = 3 });
        clock.Charge(1000);
        Assert.Equal((1112ul, 1200ul), (media.Admit(MediaWork.Read, 4096), media.Admit(MediaWork.Write, 0)));
        Assert.Equal((1400ul, 1100ul), (media.Admit(MediaWork.Flush, 0), media.Admit(MediaWork.Read, 1023)));
        Assert.Equal(1050ul, media.After(50));
    }

    [Fact]
    public void Nothing_is_due_at_once()
    {
        var media = new MediaSchedule(clock, new() { ReadNanoseconds = 0 });
        Assert.Equal((1ul, 1ul), (media.Admit(MediaWork.Read, 4096), media.After(0)));
    }

    [Fact]
    public void A_command_waits_for_the_channel_that_is_free_first()
    {
        var media = new MediaSchedule(clock, Times with { Parallelism = 2 });
        Assert.Equal(100ul, media.Admit(MediaWork.Read, 0));
        Assert.Equal(200ul, media.Admit(MediaWork.Write, 0));
        Assert.Equal(200ul, media.Admit(MediaWork.Read, 0));
        Assert.Equal(300ul, media.Admit(MediaWork.Read, 0));
        clock.Charge(1000);
        Assert.Equal(1100ul, media.Admit(MediaWork.Read, 0));
    }

    [Fact]
    public void Data_pass_one_link_after_the_other()
    {
        var media = new MediaSchedule(clock, Times with { BytesPerSecond = 1_000_000_000 });
        Assert.Equal(100ul + 4096, media.Admit(MediaWork.Read, 4096));
        Assert.Equal(100ul + 4096 * 2, media.Admit(MediaWork.Read, 4096));
        Assert.Equal(400ul, media.Admit(MediaWork.Flush, 0));
        media.Reset();
        Assert.Equal(100ul + 4096, media.Admit(MediaWork.Read, 4096));
    }

    [Fact]
    public void A_restored_schedule_goes_on_and_one_with_other_channels_is_refused()
    {
        var times = Times with { Parallelism = 2, BytesPerSecond = 1_000_000_000 };
        var media = new MediaSchedule(clock, times);
        media.Admit(MediaWork.Read, 100);
        media.Admit(MediaWork.Write, 5000);
        var writer = new SnapshotWriter();
        media.Save(writer);
        var restored = new MediaSchedule(clock, times);
        restored.Load(new("m", 1, writer.Written.ToArray()));
        Assert.Equal(media.Admit(MediaWork.Read, 9), restored.Admit(MediaWork.Read, 9));
        Assert.Throws<SnapshotException>(() => new MediaSchedule(clock, Times).Load(new("m", 1, writer.Written.ToArray())));
    }
}
