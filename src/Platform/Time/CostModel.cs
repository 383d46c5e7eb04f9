using Vmm.Specs.X86;

namespace Vmm.Platform.Time;

/// <summary>Who handles an exit.</summary>
public enum ExitHandler : byte
{
    /// <summary>The hypervisor's kernel part.</summary>
    Kernel,

    /// <summary>The kernel part, which only signals an eventfd; a device thread does the work.</summary>
    Eventfd,

    /// <summary>The hypervisor's process.</summary>
    User,
}

/// <summary>A price that is not possible; the message names the field.</summary>
public sealed class CostException(string field, string message) : Exception($"{field}: {message}")
{
    /// <summary>Key at fault.</summary>
    public string Field { get; } = field;
}

/// <summary>
/// The price of everything that passes virtual time, in TSC cycles: the one place that says so. Starts as a profile and
/// is refined by <see cref="With(CostKind, ulong)"/>. Sources of the numbers are in docs/cost-model.md. Immutable.
/// </summary>
public sealed class CostModel
{
    /// <summary>Largest price.</summary>
    public const ulong Limit = 10_000_000;

    readonly ulong[] prices;
    readonly HashSet<string> kernelDevices;

    internal CostModel(string profile, ulong[] prices, IEnumerable<string> kernelDevices)
    {
        Profile = profile;
        this.prices = prices;
        this.kernelDevices = [.. kernelDevices];
    }

    /// <summary>The profile of the default processor, a Comet Lake i5-10210U.</summary>
    public static CostModel Default { get; } = CostProfiles.Get("comet-lake");

    /// <summary>Name of the profile it started as.</summary>
    public string Profile { get; }

    /// <summary>Names of devices that the hypervisor's kernel part emulates; the others are its process's.</summary>
    public IEnumerable<string> KernelDevices => kernelDevices.Order(StringComparer.Ordinal);

    /// <summary>Cycles of one unit of a priced kind.</summary>
    public ulong this[CostKind kind] => prices[(int)kind];

    /// <summary>Cycles of a retired instruction.</summary>
    public ulong Instruction => this[CostKind.Instruction];

    /// <summary>The same with one price changed.</summary>
    /// <exception cref="CostException">The kind has no price, or the price is out of range.</exception>
    public CostModel With(CostKind kind, ulong cycles)
    {
        var low = kind == CostKind.Instruction ? 1ul : 0;
        var high = kind == CostKind.Instruction ? 1000 : Limit;
        if ((int)kind >= CostKinds.Priced || cycles < low || cycles > high)
        {
            throw new CostException(kind.Key(), $"{cycles} is not {low} to {high} cycles");
        }

        var changed = (ulong[])prices.Clone();
        changed[(int)kind] = cycles;
        return new(Profile, changed, kernelDevices);
    }

    /// <summary>The same with other devices in the kernel.</summary>
    public CostModel WithKernelDevices(IEnumerable<string> names) => new(Profile, prices, names);

    /// <summary>The model as a profile that <see cref="CostProfiles.Parse"/> reads back.</summary>
    public byte[] ToJson() => System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, object>
    {
        ["name"] = Profile,
        ["kernel-devices"] = KernelDevices.ToArray(),
        ["costs"] = Enumerable.Range(0, CostKinds.Priced).ToDictionary(static i => ((CostKind)i).Key(), i => prices[i]),
    });

    /// <summary>Who emulates a device.</summary>
    public ExitHandler HandlerOf(string device) => kernelDevices.Contains(device) ? ExitHandler.Kernel : ExitHandler.User;

    /// <summary>What an exit costs.</summary>
    public static CostKind PriceOf(ExitReason reason, ExitKind kind, ExitHandler handler) => reason switch
    {
        ExitReason.IoInstruction => Choose(handler, CostKind.PortKernel, CostKind.PortEventfd, CostKind.PortUser),
        ExitReason.EptMisconfiguration or ExitReason.ApicAccess => Choose(handler, CostKind.MmioKernel, CostKind.MmioEventfd, CostKind.MmioUser),
        ExitReason.EptViolation => handler == ExitHandler.Kernel && kind == ExitKind.None
            ? CostKind.EptViolation : Choose(handler, CostKind.MmioKernel, CostKind.MmioEventfd, CostKind.MmioUser),
        ExitReason.Cpuid => CostKind.Cpuid,
        ExitReason.Vmcall => CostKind.Vmcall,
        ExitReason.Hlt => CostKind.Halt,
        ExitReason.Rdmsr or ExitReason.Wrmsr when handler == ExitHandler.Kernel => CostKind.Msr,
        ExitReason.ExternalInterrupt => CostKind.ExternalInterrupt,
        ExitReason.PreemptionTimer => CostKind.PreemptionTimer,
        _ => handler == ExitHandler.User ? CostKind.User : CostKind.Light,
    };

    static CostKind Choose(ExitHandler handler, CostKind kernel, CostKind eventfd, CostKind user) => handler switch
    {
        ExitHandler.Kernel => kernel,
        ExitHandler.Eventfd => eventfd,
        _ => user,
    };
}
