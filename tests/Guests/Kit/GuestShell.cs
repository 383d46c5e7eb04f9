using System.Text;
using Vmm.Machine;
using Xunit;

namespace Vmm.Guests.Kit;

/// <summary>A conversation with a guest whose /init is <see cref="Init"/>: it runs what is typed.</summary>
internal sealed class GuestShell : IDisposable
{
    /// <summary>What the guest says when it waits for the first line.</summary>
    public const string Ready = "SHELL-READY";

    readonly Guest guest;
    int heard;
    string? awaited;

    public GuestShell(Guest guest)
    {
        this.guest = guest;
        guest.Port.Watch(_ =>
        {
            if (awaited != null && Unheard.Contains(awaited, StringComparison.Ordinal))
            {
                awaited = null;
                guest.Machine.RequestStop();
            }
        });
    }

    /// <summary>Script for <see cref="Guest.Script"/>.</summary>
    public static string Init => Guest.Script($"""
        stty -echo < /dev/ttyS0
        echo {Ready}
        while read line; do eval "$line"; done < /dev/ttyS0
        """);

    public VirtualMachine Machine => guest.Machine;

    public string Output => guest.Output;

    string Unheard => Output[heard..];

    public void Type(string line) => Assert.True(Machine.OfferInput(Encoding.ASCII.GetBytes(line + "\n")));

    /// <summary>Runs until the guest has said a text; fails when it ends or the virtual time is up before.</summary>
    public void Expect(string text, double seconds = 20)
    {
        if (!Unheard.Contains(text, StringComparison.Ordinal))
        {
            awaited = text;
            var outcome = Machine.Run(Machine.Now + (ulong)(seconds * Machine.Clock.Hertz));
            Assert.True(Unheard.Contains(text, StringComparison.Ordinal), $"'{text}' was not seen; {outcome.Detail}\n{Output}");
        }

        heard += Unheard.IndexOf(text, StringComparison.Ordinal) + text.Length;
    }

    /// <summary>Runs to the end.</summary>
    public RunOutcome Finish(double seconds = 60) => Machine.Run(Machine.Now + (ulong)(seconds * Machine.Clock.Hertz));

    public void Dispose() => guest.Dispose();
}
