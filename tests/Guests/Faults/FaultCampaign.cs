using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using Vmm.Guests.Kit;
using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests.Faults;

/// <summary>Seeded rules about disks, each in a fork of one booted kernel that is told to do some work.</summary>
/// <param name="fork">Makes a fork.</param>
/// <param name="work">What it is told.</param>
/// <param name="disks">Devices that rules name.</param>
internal sealed class FaultCampaign(Func<GuestShell> fork, string work, IReadOnlyList<Bdf> disks)
{
    /// <summary>Runs it twice and compares. VMM_STEPS raises the number of rules.</summary>
    public void Repeat(int least, ITestOutputHelper log)
    {
        var rules = int.TryParse(Environment.GetEnvironmentVariable("VMM_STEPS"), out var steps) ? Math.Clamp(steps / 100_000, least, 1000) : least;
        fork().Dispose();
        var start = Stopwatch.GetTimestamp();
        var first = Run(rules, out var fired, out var forking);
        var took = Stopwatch.GetElapsedTime(start);
        log.WriteLine($"{rules} rules, {fired} firings, {took.TotalSeconds:F1} s, fork {forking.TotalMilliseconds / rules:F1} ms; hash {first}");
        Assert.Equal(first, Run(rules, out _, out _));
        Assert.True(fired > (ulong)rules / 2, $"only {fired} firings");
    }

    string Run(int rules, out ulong fired, out TimeSpan forking)
    {
        using var sum = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        (fired, forking) = (0, default);
        for (var seed = 1; seed <= rules; seed++)
        {
            var start = Stopwatch.GetTimestamp();
            using var shell = fork();
            forking += Stopwatch.GetElapsedTime(start);
            shell.Machine.Faults.Arm(RuleOf(seed));
            shell.Type(work);
            shell.Machine.Run(shell.Machine.Now + 3 * shell.Machine.Clock.Hertz, shell.Machine.Instructions + 30_000_000);
            fired += shell.Machine.Faults.FiringCount;
            sum.AppendData(Encoding.UTF8.GetBytes(shell.Machine.StateHash()));
            foreach (var firing in shell.Machine.Faults.Firings)
            {
                // Either the hardware tells of it, or it is said why not.
                Assert.NotEqual("", firing.SuppressedBy);
                sum.AppendData(Encoding.UTF8.GetBytes($"{firing.Number} {firing.Nanoseconds} {firing.Effect} {firing.SuppressedBy}"));
            }
        }

        return Convert.ToHexStringLower(sum.GetHashAndReset());
    }

    FaultRule RuleOf(int seed)
    {
        var random = new Random(seed);
        var action = ActionOf(random);
        var match = new FaultMatch
        {
            Device = action is CacheFault || random.Next(2) == 0 && action.Point != FaultPoint.Invalidation ? disks[random.Next(disks.Count)] : null,
            Nth = (ulong)random.Next(1, 12),
            Interval = (ulong)random.Next(1, 4),
            Count = (ulong)random.Next(1, 4),
            ProbabilityPpm = random.Next(3) == 0 ? 500_000u : 1_000_000u,
            Seed = (ulong)seed,
            Opcode = action.Point is FaultPoint.Transfer or FaultPoint.Translation or FaultPoint.Completion && random.Next(3) == 0 ? (uint)random.Next(1, 3) : null,
        };
        return new($"rule-{seed}", match, action);
    }

    static FaultAction ActionOf(Random random) => random.Next(6) switch
    {
        0 => new TranslationFault((uint)new[] { 1, 2, 3, 4, 5, 6, 7, 0xC, 0xE }[random.Next(9)], (uint)random.Next(5)),
        1 => new InvalidationFault((InvalidationFaultKind)random.Next(1, 7), (ulong)random.Next(1, 1_000_000)),
        2 => new CacheFault(),
        3 => new InterruptFault((InterruptFaultKind)random.Next(1, 6), (ulong)random.Next(1, 500), (ulong)random.Next(100, 100_000), (uint)random.Next(1, 256), (uint)random.Next(0x20, 0x2A)),
        4 => new DmaFault(
            (DmaFaultKind)random.Next(1, 11), (ulong)random.Next(1, 1_000_000), (uint)random.Next(1, 4096), (uint)random.Next(1, 65),
            (ulong)random.NextInt64(1, long.MaxValue), new(0, random.Next(32), random.Next(8))),
        _ => new CompletionFault((CompletionFaultKind)random.Next(1, 4), (uint)random.Next(1, 8), (uint)random.Next(256), random.Next(2) == 0),
    };
}
