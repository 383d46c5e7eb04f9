using System.Globalization;
using Vmm.Cpu.MachineCheck;
using Vmm.Machine;
using Vmm.Machine.MachineChecks;
using Vmm.Specs.X86;

namespace Vmm.Cli;

/// <summary>The options <c>--mca</c>, what the processors offer, and <c>--mce</c>, what is injected.</summary>
internal static class MachineCheckOption
{
    static readonly Dictionary<string, (int Bank, ulong Status)> Kinds = new()
    {
        ["corrected"] = (3, MachineCheckCode.CorrectedDataRead),
        ["ucna"] = (7, MachineCheckCode.MemoryReadUcna),
        ["srao"] = (9, MachineCheckCode.MemoryScrub),
        ["writeback"] = (6, MachineCheckCode.ExplicitWriteBack),
        ["srar"] = (1, MachineCheckCode.DataLoad),
        ["fetch"] = (0, MachineCheckCode.InstructionFetch),
        ["fatal"] = (1, MachineCheckCode.ContextCorrupt),
    };

    /// <summary><c>--mca off</c> or <c>--mca banks=10,cmci=on,ser=on,lmce=on</c>.</summary>
    public static MachineCheckOptions? Architecture(string? text)
    {
        if (text == "off")
        {
            return null;
        }

        var pairs = text is null or "on" ? [] : OptionText.Pairs("--mca", text, "banks", [.. DeviceSettings.MachineCheck.Names]);
        var options = DeviceSettings.MachineCheck.Apply(new(), pairs);
        return options.Problem is { } problem ? throw new UsageException($"--mca: {problem}") : options;
    }

    /// <summary>Injects or arms what one <c>--mce</c> says.</summary>
    public static void Inject(VirtualMachine machine, string text)
    {
        foreach (var injection in Parse(text, machine.Config.MachineCheck, machine.Clock.Hertz))
        {
            if (machine.MachineChecks.Violations(injection) is { Count: > 0 } wrong)
            {
                throw new UsageException($"--mce: {string.Join("; ", wrong)}");
            }

            try
            {
                machine.MachineChecks.Inject(injection);
            }
            catch (InvalidOperationException full)
            {
                throw new UsageException($"--mce: {full.Message}");
            }
        }
    }

    /// <summary>
    /// <c>--mce srar,cpu=0,page=0x1234000</c>, <c>--mce bank=1,status=0xb2...,mcgstatus=5,time=2s</c> or <c>--mce file=PATH</c>,
    /// which is the text of mce-inject.
    /// </summary>
    public static IReadOnlyList<MachineCheckInjection> Parse(string text, MachineCheckOptions? options, ulong hertz)
    {
        var pairs = OptionText.Pairs(
            "--mce", text, "kind", "file", "cpu", "bank", "status", "mcgstatus", "addr", "misc", "signal", "instruction", "time", "page", "exit", "count", "by", "once");
        var when = Condition(pairs, hertz);
        if (pairs.TryGetValue("file", out var path))
        {
            return [.. FromFile(path).Select(i => i with { When = when })];
        }

        var (bank, status) = pairs.TryGetValue("kind", out var kind)
            ? Kinds.TryGetValue(kind, out var preset) ? preset : throw new UsageException($"--mce: kind '{kind}' is not {string.Join(", ", Kinds.Keys)}")
            : (-1, 0ul);
        var last = (options?.Banks ?? 1) - 1;
        var addr = Optional(pairs, "addr");
        return
        [
            new()
            {
                Cpu = pairs.TryGetValue("cpu", out var cpu) ? (int)OptionText.Integer("--mce cpu", cpu, 0, 255) : 0,
                Bank = pairs.TryGetValue("bank", out var b) ? (int)OptionText.Integer("--mce bank", b, 0, 255) : bank < 0 ? null : Math.Min(bank, last),
                Status = (Optional(pairs, "status") ?? (bank < 0 ? null : status)) is { } s ? s | (addr != null ? MciStatus.ADDRV : 0) : null,
                Addr = addr,
                Misc = Optional(pairs, "misc") ?? MachineCheckCode.PageAddressMisc,
                McgStatus = Optional(pairs, "mcgstatus"),
                Signal = pairs.TryGetValue("signal", out var signal) ? Word<MachineCheckSignal>("signal", signal) : MachineCheckSignal.Auto,
                Once = pairs.TryGetValue("once", out var once) && OptionText.Flag("--mce once", once),
                When = when,
            },
        ];
    }

    static InjectionCondition Condition(Dictionary<string, string> pairs, ulong hertz)
    {
        string[] triggers = ["instruction", "time", "page", "exit"];
        var given = triggers.Where(pairs.ContainsKey).ToArray();
        if (given.Length > 1)
        {
            throw new UsageException($"--mce: {string.Join(" and ", given)} cannot be waited for together");
        }

        return given.FirstOrDefault() switch
        {
            "instruction" => new(InjectionTrigger.Instruction, (ulong)OptionText.Integer("--mce instruction", pairs["instruction"], 0, long.MaxValue)),
            "time" => new(InjectionTrigger.Time, (ulong)(OptionText.Duration("--mce time", pairs["time"]).TotalSeconds * hertz)),
            "page" => new(InjectionTrigger.Page, Number("page", pairs["page"]), By: pairs.TryGetValue("by", out var by) ? Word<PageToucher>("by", by) : PageToucher.Any),
            "exit" => new(
                InjectionTrigger.Exit, pairs.TryGetValue("count", out var count) ? (ulong)OptionText.Integer("--mce count", count, 1, long.MaxValue) : 1,
                Word<ExitReason>("exit", pairs["exit"])),
            _ => new(InjectionTrigger.Now),
        };
    }

    static IReadOnlyList<MachineCheckInjection> FromFile(string path)
    {
        try
        {
            return MceInjectText.Parse(System.Text.Encoding.UTF8.GetString(Firmware.ImageFile.Read(path, "mce-inject text", 1 << 20)));
        }
        catch (FormatException bad)
        {
            throw new UsageException($"--mce: {path}: {bad.Message}");
        }
    }

    static T Word<T>(string key, string text)
        where T : struct, Enum =>
        !char.IsAsciiDigit(text[0]) && Enum.TryParse<T>(text, ignoreCase: true, out var value) && Enum.IsDefined(value)
            ? value
            : throw new UsageException($"--mce {key}: '{text}' is not one of {string.Join(", ", Enum.GetNames<T>()).ToLowerInvariant()}");

    static ulong? Optional(Dictionary<string, string> pairs, string key) => pairs.TryGetValue(key, out var text) ? Number(key, text) : null;

    static ulong Number(string key, string text)
    {
        var hex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        return ulong.TryParse(hex ? text[2..] : text, hex ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out var value)
            ? value
            : throw new UsageException($"--mce {key}: '{text}' is not a number");
    }
}
