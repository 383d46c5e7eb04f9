namespace Vmm.Platform.Time;

/// <summary>What a device wants done at a virtual time.</summary>
public interface ITimerTarget
{
    /// <summary>The event armed for <paramref name="due"/> is due; <paramref name="timer"/> tells which one it is.</summary>
    void Expired(ClockTimer timer, ulong due);
}

/// <summary>One re-armable event of a device. Created once; arming it allocates nothing.</summary>
public sealed class ClockTimer
{
    internal ClockTimer(VirtualClock clock, string name, int ordinal, ITimerTarget target)
    {
        Clock = clock;
        Name = name;
        Ordinal = ordinal;
        Target = target;
    }

    internal VirtualClock Clock { get; }

    internal ITimerTarget Target { get; }

    internal int Ordinal { get; }

    internal int HeapIndex { get; set; } = -1;

    /// <summary>Name for traces.</summary>
    public string Name { get; }

    /// <summary>True while the event waits.</summary>
    public bool IsArmed => HeapIndex >= 0;

    /// <summary>Due time in cycles; meaningful while armed.</summary>
    public ulong Due { get; internal set; }

    /// <summary>Arms, or moves, the event. A due time in the past fires at the next opportunity.</summary>
    public void Arm(ulong due) => Clock.Arm(this, due);

    /// <summary>Disarms the event if armed.</summary>
    public void Disarm() => Clock.Disarm(this);
}

/// <summary>
/// Virtual time in cycles of the invariant TSC. It passes only when something is charged; no host clock is read.
/// Events with the same due time fire in order of their creation, so a restored machine repeats exactly.
/// </summary>
public sealed class VirtualClock
{
    ClockTimer[] heap = new ClockTimer[16];
    int count;
    int ordinals;
    ulong eventStart = ulong.MaxValue;

    /// <param name="hertz">Cycles per virtual second.</param>
    /// <param name="cost">Prices; null for the default profile.</param>
    /// <param name="vcpus">vCPUs that the ledger tells apart.</param>
    /// <param name="isCounting">False: the ledger charges without counting.</param>
    public VirtualClock(ulong hertz = 2_112_000_000, CostModel? cost = null, int vcpus = 1, bool isCounting = true)
    {
        Hertz = hertz;
        Ledger = new(this, cost ?? CostModel.Default, vcpus) { IsCounting = isCounting };
    }

    /// <summary>Counts what is charged by reason, vCPU and device; what has a price is charged through it.</summary>
    public ExitLedger Ledger { get; }

    /// <summary>Takes events, or null.</summary>
    public IEventTrace? Trace { get; set; }

    /// <summary>Cycles per virtual second.</summary>
    public ulong Hertz { get; }

    /// <summary>
    /// Now, in cycles. While a vCPU runs this is that vCPU's own time; between quanta it is the machine's.
    /// </summary>
    public ulong Now { get; private set; }

    /// <summary>Due time of the earliest event, or <see cref="ulong.MaxValue"/>.</summary>
    public ulong NextDue => count == 0 ? ulong.MaxValue : heap[0].Due;

    /// <summary>Lets <paramref name="cycles"/> pass.</summary>
    public void Charge(ulong cycles) => Now += cycles;

    /// <summary>Moves to another context's time (a vCPU's quantum, a restored snapshot). The machine loop alone calls this.</summary>
    public void SwitchTo(ulong now) => Now = now;

    /// <summary>Now in virtual nanoseconds.</summary>
    public ulong NowNanoseconds => CyclesToNanoseconds(Now);

    /// <summary>Converts cycles to nanoseconds, rounding down.</summary>
    public ulong CyclesToNanoseconds(ulong cycles) => (ulong)((UInt128)cycles * 1_000_000_000 / Hertz);

    /// <summary>Converts ticks of a <paramref name="hertz"/> counter to cycles, rounding up so that a deadline never fires early.</summary>
    public ulong ToCycles(ulong ticks, ulong hertz)
    {
        var cycles = ((UInt128)ticks * Hertz + hertz - 1) / hertz;
        return cycles > ulong.MaxValue ? ulong.MaxValue : (ulong)cycles;
    }

    /// <summary>Converts cycles to ticks of a <paramref name="hertz"/> counter, rounding down.</summary>
    public ulong FromCycles(ulong cycles, ulong hertz) => (ulong)((UInt128)cycles * hertz / Hertz);

    /// <summary>Cycles that the work of the event now carried out has taken so far; 0 when a vCPU runs.</summary>
    internal ulong WorkInEvent => Now > eventStart ? Now - eventStart : 0;

    /// <summary>Makes an event. Devices do this once, in their constructors.</summary>
    public ClockTimer CreateTimer(string name, ITimerTarget target) => new(this, name, ordinals++, target);

    /// <summary>
    /// Runs every event due at or before <see cref="Now"/>. Each starts now, whatever time the work of another took: what a
    /// device does delays that device alone. The machine loop alone calls this.
    /// </summary>
    public void RunDue()
    {
        var now = eventStart = Now;
        while (count != 0 && heap[0].Due <= now)
        {
            var timer = heap[0];
            Remove(timer);
            timer.Target.Expired(timer, timer.Due);
            Now = now;
        }

        eventStart = ulong.MaxValue;
    }

    internal void Arm(ClockTimer timer, ulong due)
    {
        if (timer.HeapIndex >= 0)
        {
            Remove(timer);
        }

        timer.Due = due;
        if (count == heap.Length)
        {
            Array.Resize(ref heap, count * 2);
        }

        timer.HeapIndex = count;
        heap[count++] = timer;
        Up(timer.HeapIndex);
    }

    internal void Disarm(ClockTimer timer)
    {
        if (timer.HeapIndex >= 0)
        {
            Remove(timer);
        }
    }

    void Remove(ClockTimer timer)
    {
        var at = timer.HeapIndex;
        timer.HeapIndex = -1;
        count--;
        if (at == count)
        {
            heap[at] = null!;
            return;
        }

        heap[at] = heap[count];
        heap[count] = null!;
        heap[at].HeapIndex = at;
        Up(at);
        Down(at);
    }

    static bool Before(ClockTimer a, ClockTimer b) => a.Due != b.Due ? a.Due < b.Due : a.Ordinal < b.Ordinal;

    void Up(int at)
    {
        while (at > 0 && Before(heap[at], heap[(at - 1) / 2]))
        {
            Swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    void Down(int at)
    {
        while (true)
        {
            var child = at * 2 + 1;
            if (child >= count)
            {
                return;
            }

            if (child + 1 < count && Before(heap[child + 1], heap[child]))
            {
                child++;
            }

            if (!Before(heap[child], heap[at]))
            {
                return;
            }

            Swap(at, child);
            at = child;
        }
    }

    void Swap(int a, int b)
    {
        (heap[a], heap[b]) = (heap[b], heap[a]);
        heap[a].HeapIndex = a;
        heap[b].HeapIndex = b;
    }
}
