using Vmm.Api.V1;
using Vmm.Control.Hosting;
using Xunit;

namespace Vmm.ControlTests.Hosting;

public sealed class FaultBurstTests
{
    readonly FaultBurst burst = new(1000);

    IommuFaultsEvent? Take(ulong now, uint reason = 5, bool recorded = false) => burst.Take(new() { Reason = reason, Recorded = recorded }, now);

    [Fact]
    public void Few_conditions_have_an_event_each()
    {
        for (var i = 0u; i < FaultBurst.Most; i++)
        {
            Assert.Equal(new IommuFaultsEvent { Faults = 1, Recorded = i % 2, Fault = new() { Reason = i, Recorded = i % 2 == 1 } }, Take(10 * i, i, i % 2 == 1));
        }

        Assert.False(burst.HasWithheld);
        Assert.Null(burst.Flush());
    }

    [Fact]
    public void The_next_stretch_counts_what_had_no_event()
    {
        for (var i = 0; i < FaultBurst.Most + 100; i++)
        {
            Assert.Equal(i < FaultBurst.Most, Take(999, recorded: true) != null);
        }

        Assert.True(burst.HasWithheld);
        var next = Take(1999, 6)!;
        Assert.Equal((101ul, 100ul, 6u), (next.Faults, next.Recorded, next.Fault.Reason));
        Assert.False(burst.HasWithheld);
        Assert.Equal(1ul, Take(1999)!.Faults);
    }

    [Fact]
    public void Whoever_looks_gets_what_was_withheld_once()
    {
        for (var i = 0; i < FaultBurst.Most + 3; i++)
        {
            Take(5);
        }

        Assert.Equal(3ul, burst.Flush()!.Faults);
        Assert.Null(burst.Flush());
        Assert.Null(Take(6));
        Assert.Equal(1ul, burst.Flush()!.Faults);
    }

    [Fact]
    public void Time_that_steps_back_begins_a_stretch()
    {
        Take(5000);
        for (var i = 0; i < FaultBurst.Most; i++)
        {
            Assert.NotNull(Take(4000));
        }

        Assert.Null(Take(4000));
    }
}
