using Vmm.Cpu.MachineCheck;
using Vmm.Cpu.Vcpus;
using Vmm.Cpu.Vmx;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Vmm.Specs.X86;

namespace Vmm.Machine.MachineChecks;

/// <summary>An injection that waits.</summary>
/// <param name="Id">Names it for <see cref="MachineCheckInjector.Disarm"/>.</param>
/// <param name="Injection">What will be injected.</param>
/// <param name="Left">Exits that are still to come, for a condition on exits.</param>
public sealed record ArmedInjection(uint Id, MachineCheckInjection Injection, ulong Left);

/// <summary>An injection that happened.</summary>
/// <param name="Id">Which injection.</param>
/// <param name="Time">Virtual time in cycles.</param>
/// <param name="Cpu">vCPU whose bank took it.</param>
/// <param name="Record">What was recorded.</param>
/// <param name="Outcome">What became of it in the bank.</param>
/// <param name="Told">Processors whose guest got a machine-check exception, as a mask.</param>
/// <param name="Kept">Processors whose host handled it alone, because the guest has CR4.MCE clear, as a mask.</param>
/// <param name="Died">Processors that had CR4.MCE clear and asserted CATERR, as a mask.</param>
public readonly record struct FiredInjection(uint Id, ulong Time, int Cpu, MachineCheckRecord Record, LogOutcome Outcome, uint Told, uint Kept, uint Died)
{
    /// <summary>A machine check was signalled to no processor.</summary>
    public bool IsQuiet => (Told | Kept | Died) == 0;
}

/// <summary>
/// Injects machine checks into a machine, at once or when a condition first holds. To be called from the machine's thread
/// while no vCPU runs; conditions are looked at by the machine itself.
/// </summary>
public sealed partial class MachineCheckInjector : ITimerTarget, IPoisonObserver
{
    /// <summary>Injections that may wait at once.</summary>
    public const int ArmedLimit = 4096;

    /// <summary>Latest injections that <see cref="Fired"/> keeps.</summary>
    public const int FiredLimit = 256;

    readonly IReadOnlyList<Vcpu> vcpus;
    readonly MachineCheckOptions? options;
    readonly GuestMemory memory;
    readonly VirtualClock clock;
    readonly ClockTimer timer;
    readonly List<ArmedInjection> armed = [];
    readonly Queue<FiredInjection> fired = [];
    uint nextId = 1;
    int atInstruction, onExit;

    internal MachineCheckInjector(IReadOnlyList<Vcpu> vcpus, MachineCheckOptions? options, GuestMemory memory, VirtualClock clock)
    {
        this.vcpus = vcpus;
        this.options = options;
        this.memory = memory;
        this.clock = clock;
        timer = clock.CreateTimer("machine-check", this);
        memory.PoisonObserver = this;
    }

    /// <summary>Called after processors may have been woken.</summary>
    internal Action? Woke { get; init; }

    /// <summary>Injections that wait, in the order in which they were made.</summary>
    public IReadOnlyList<ArmedInjection> Armed => armed;

    /// <summary>The latest injections that happened.</summary>
    public IReadOnlyCollection<FiredInjection> Fired => fired;

    /// <summary>Told of each injection that happens, when it does, on the machine's thread.</summary>
    public Action<FiredInjection>? Happened { get; set; }

    /// <summary>Machine checks injected.</summary>
    public ulong Injected { get; private set; }

    /// <summary>Of <see cref="Injected"/>: errors that replaced an earlier one in their bank (OVER).</summary>
    public ulong Overwrote { get; private set; }

    /// <summary>Of <see cref="Injected"/>: errors of which the bank kept no more than OVER.</summary>
    public ulong Lost { get; private set; }

    /// <summary>Everything that is wrong with an injection; empty when it can be made.</summary>
    public IReadOnlyList<InjectionViolation> Violations(MachineCheckInjection injection) => InjectionRules.Violations(injection, options, vcpus.Count, memory);

    /// <summary>Injects, or arms what has a condition. Returns the injection's id.</summary>
    /// <exception cref="ArgumentException">The injection is not possible; the message has every violation.</exception>
    /// <exception cref="InvalidOperationException"><see cref="ArmedLimit"/> injections wait.</exception>
    public uint Inject(MachineCheckInjection injection)
    {
        if (Violations(injection) is { Count: > 0 } wrong)
        {
            throw new ArgumentException(string.Join("; ", wrong), nameof(injection));
        }

        if (armed.Count == ArmedLimit)
        {
            throw new InvalidOperationException($"{ArmedLimit} injections wait already");
        }

        var id = nextId++;
        if (injection.When.Trigger == InjectionTrigger.Now)
        {
            Fire(id, injection, injection.Cpu, injection.Bank!.Value, injection.Status!.Value, injection.Addr ?? 0);
            return id;
        }

        armed.Add(new(id, injection, injection.When.Value));
        ArmedChanged();
        return id;
    }

    /// <summary>Takes an injection back, and the poison of its page. False when it does not wait.</summary>
    public bool Disarm(uint id)
    {
        var found = armed.RemoveAll(a => a.Id == id) != 0;
        ArmedChanged();
        return found;
    }

    /// <summary>Derives what the machine looks at from the injections that wait.</summary>
    void ArmedChanged()
    {
        atInstruction = armed.Count(a => a.Injection.When.Trigger == InjectionTrigger.Instruction);
        onExit = armed.Count(a => a.Injection.When.Trigger == InjectionTrigger.Exit);
        timer.Disarm();
        foreach (var (_, injection, _) in armed)
        {
            if (injection.When.Trigger == InjectionTrigger.Time && (!timer.IsArmed || injection.When.Value < timer.Due))
            {
                timer.Arm(injection.When.Value);
            }
        }

        UpdatePoison();
    }

    static ulong PageOf(MachineCheckInjection injection) => injection.When.Value & ~0xFFFul;

    void UpdatePoison()
    {
        var wanted = armed.Where(a => a.Injection.When.Trigger == InjectionTrigger.Page).Select(a => PageOf(a.Injection)).ToHashSet();
        var changed = false;
        foreach (var page in poisoned.Where(p => !wanted.Contains(p)).ToArray())
        {
            changed |= memory.Poison(new(page), false);
            poisoned.Remove(page);
        }

        foreach (var page in wanted)
        {
            changed |= memory.Poison(new(page), true);
            poisoned.Add(page);
        }

        for (var i = 0; changed && i < vcpus.Count; i++)
        {
            vcpus[i].ForgetTranslations();
        }
    }

    readonly HashSet<ulong> poisoned = [];

    void Fire(uint id, MachineCheckInjection injection, int cpu, int bank, ulong status, ulong addr)
    {
        var target = vcpus[cpu];
        var record = new MachineCheckRecord(bank, status, addr, injection.Misc);
        var raises = injection.Signal switch
        {
            MachineCheckSignal.Auto => target.Mca!.RaisesException(bank, status),
            MachineCheckSignal.Silent => false,
            _ => true,
        };
        var outcome = target.RecordMachineCheck(record, injection.Signal == MachineCheckSignal.Silent);
        var (told, kept, died) = raises ? Deliver(injection, cpu, new MciStatus(status).Class(options!.Recovery)) : default;
        Injected++;
        Overwrote += outcome == LogOutcome.Overwrote ? 1u : 0;
        Lost += outcome == LogOutcome.Lost ? 1u : 0;
        if (fired.Count == FiredLimit)
        {
            fired.Dequeue();
        }

        var happened = new FiredInjection(id, clock.Now, cpu, record, outcome, told, kept, died);
        fired.Enqueue(happened);
        Happened?.Invoke(happened);
        Woke?.Invoke();
    }

    (uint Told, uint Kept, uint Died) Deliver(MachineCheckInjection injection, int cpu, MachineCheckClass kind)
    {
        var action = kind == MachineCheckClass.Srar;
        var flags = (injection.McgStatus ?? (action ? McgStatus.RIPV | McgStatus.EIPV : McgStatus.RIPV)) & (McgStatus.RIPV | McgStatus.EIPV);
        var local = vcpus[cpu].Mca!.IsLocalEnabled
            && (injection.Signal == MachineCheckSignal.Local || (injection.Signal == MachineCheckSignal.Auto && action));
        var alone = local || injection.Signal == MachineCheckSignal.Target;
        uint told = 0, kept = 0, died = 0;
        for (var i = 0; i < vcpus.Count; i++)
        {
            if (i == cpu || !alone)
            {
                // The others have nothing to do with the error and can go on where they are.
                ref var mask = ref told;
                switch (Tell(vcpus[i], i == cpu ? flags | (local ? McgStatus.LMCE_S : 0) : McgStatus.RIPV))
                {
                    case MachineCheckOutcome.Caterr:
                        mask = ref died;
                        break;
                    case MachineCheckOutcome.Host:
                        mask = ref kept;
                        break;
                }

                mask |= 1u << i;
            }
        }

        return (told, kept, died);
    }

    /// <summary>
    /// The machine check reaches the physical processor: an exit to the hypervisor, which injects it into a guest that has
    /// machine checks on and keeps it from one that has not; or CATERR. Says who has it now: the guest, the host, or nobody any more.
    /// </summary>
    static MachineCheckOutcome Tell(Vcpu target, ulong flags)
    {
        var outcome = target.Vmx.MachineCheckArrives();
        if (outcome == MachineCheckOutcome.Caterr)
        {
            return outcome;
        }

        if (outcome != MachineCheckOutcome.Guest && !target.Vmx.GuestMachineCheckEnabled)
        {
            return MachineCheckOutcome.Host;
        }

        target.DeliverMachineCheck(flags);
        return MachineCheckOutcome.Guest;
    }
}
