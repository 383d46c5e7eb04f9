using Vmm.Api.V1;
using Vmm.Control.Hosting;
using Xunit;

namespace Vmm.ControlTests.Hosting;

public sealed class EventLogTests
{
    readonly EventLog log = new(4, "e");

    void Add(int count)
    {
        for (var i = 0; i < count; i++)
        {
            log.Add("m", log.Last, new() { ConsoleLine = new() { Text = $"{log.Last + 1}" } });
        }
    }

    [Fact]
    public void A_watcher_that_falls_behind_learns_how_many_it_missed_and_goes_on()
    {
        var position = 0ul;
        Add(3);
        Assert.Equal("1", log.Read(ref position)!.ConsoleLine.Text);
        Add(7);
        var dropped = log.Read(ref position)!;
        Assert.Equal((5ul, 6ul, "e-6"), (dropped.Dropped.Count, dropped.Sequence, dropped.ResumeToken));
        foreach (var text in new[] { "7", "8", "9", "10" })
        {
            var next = log.Read(ref position)!;
            Assert.Equal((text, $"e-{text}"), (next.ConsoleLine.Text, next.ResumeToken));
        }

        Assert.Null(log.Read(ref position));
        Add(1);
        Assert.Equal("11", log.Read(ref position)!.ConsoleLine.Text);
    }

    [Fact]
    public void A_token_goes_on_after_its_event_and_no_other_text_is_one()
    {
        Add(3);
        Assert.True(log.TryParse("e-2", out var position));
        Assert.Equal("3", log.Read(ref position)!.ConsoleLine.Text);
        foreach (var bad in new[] { "", "e", "e-", "e-4", "f-1", "e--1", "e-+1", "e- 1", "e-1 ", "e-99999999999999999999", "2" })
        {
            Assert.False(log.TryParse(bad, out _), bad);
        }
    }

    [Fact]
    public async Task Who_waits_is_woken_by_the_next_event()
    {
        var changed = log.Changed;
        Assert.False(changed.IsCompleted);
        Add(1);
        await changed.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.False(log.Changed.IsCompleted);
    }
}
