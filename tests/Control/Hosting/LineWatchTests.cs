using System.Diagnostics;
using System.Text;
using Vmm.Control.Hosting;
using Xunit;

namespace Vmm.ControlTests.Hosting;

/// <summary>What waits for console lines: what it finds, when, and what a hostile pattern can cost.</summary>
public sealed class LineWatchTests
{
    readonly ConsoleLog console = new();

    void Write(string text)
    {
        // As a UART does: byte by byte.
        foreach (var value in Encoding.UTF8.GetBytes(text))
        {
            console.Write([value]);
        }
    }

    ulong? Seen(LineWatch watch, string text, ulong? from = null)
    {
        console.Watch(watch, from);
        foreach (var value in Encoding.UTF8.GetBytes(text))
        {
            if (watch.IsDone)
            {
                break;
            }

            console.Write([value]);
        }

        console.Unwatch(watch);
        return watch.IsDone ? console.Written : null;
    }

    [Fact]
    public void A_prompt_is_found_at_its_last_byte()
    {
        Assert.Equal(13ul, Seen(new("login:", () => { }), "Debian login: root\n"));
        Write("\n");
        Assert.Equal(14ul + 13, Seen(LineWatch.ForRegex("^Debian .*:", () => { }), "Debian login: root\n"));
        Assert.Null(Seen(new("never", () => { }), "nev\ner\n"));
    }

    [Fact]
    public void A_long_line_is_looked_at_now_and_then_and_at_its_end()
    {
        var at = Seen(LineWatch.ForRegex("b", () => { }), new string('a', 1000) + "b" + new string('a', 1000) + "\n");
        Assert.Equal(1024ul, at);
        Write("\n");
        var watch = LineWatch.ForRegex("b$", () => { });
        Assert.NotNull(Seen(watch, new string('a', 300) + "b\n"));
        Assert.Equal(301, watch.Line.Length);
    }

    [Fact]
    public void The_past_is_looked_at_first_when_it_is_asked_for()
    {
        Write("one\r\ntwo");
        Assert.Equal(8ul, Seen(LineWatch.ForRegex("^one$", () => { }), "", 0));
        Assert.Null(Seen(new("one", () => { }), ""));
        Assert.Equal(8ul, Seen(new("two", () => { }), ""));
    }

    [Theory]
    [InlineData("(a{1000}){1000}b")]
    [InlineData("((a{0,1000}){0,1000}){0,1000}b")]
    [InlineData(".*a.{5000}b")]
    [InlineData("(")]
    [InlineData("(a)\\1")]
    public void A_pattern_that_is_too_large_or_none_is_refused(string pattern) => Assert.ThrowsAny<ArgumentException>(() => LineWatch.ForRegex(pattern, () => { }));

    [Theory]
    [InlineData(".*a.{900}b")]
    [InlineData("(.*a){100}b")]
    [InlineData("(x+x+)+y|(a|aa)+b")]
    [InlineData("(a?){300}a{300}b")]
    public void A_hostile_pattern_costs_little_for_the_longest_line(string pattern)
    {
        var clock = Stopwatch.StartNew();
        Assert.Null(Seen(LineWatch.ForRegex(pattern, () => { }), new string('a', 5000) + "\n"));
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 10);
    }

    [Fact]
    public void A_reader_that_comes_late_learns_what_it_missed()
    {
        var data = new byte[ConsoleLog.Capacity + 5000];
        new Random(5).NextBytes(data);
        for (var at = 0; at < data.Length; at += 1000)
        {
            console.Write(data.AsSpan(at, Math.Min(1000, data.Length - at)));
        }

        var position = 0ul;
        var found = new List<byte>();
        var first = console.TryRead(ref position, 4096);
        Assert.Equal((5000ul, 5000ul), (first.Dropped, first.Offset));
        found.AddRange(first.Data);
        while (console.TryRead(ref position, 4096) is { Data.Length: > 0 } chunk)
        {
            Assert.Equal(0ul, chunk.Dropped);
            found.AddRange(chunk.Data);
        }

        Assert.Equal(data[5000..], found);
    }
}
