using Vmm.Firmware;
using Vmm.Platform.Time;

namespace Vmm.Cli;

/// <summary><c>--cost profile=haswell,mmio-user=8000</c> or <c>--cost file=mine.json</c>.</summary>
internal static class CostOption
{
    /// <summary>Help text.</summary>
    public static string Description =>
        $"prices in virtual cycles: profile={string.Join("|", CostProfiles.Names)}, file=PATH, kernel-devices=lapic+ioapic, or one of {string.Join(", ", CostKinds.PricedKeys)}";

    /// <summary>Parses the option; null is the default profile.</summary>
    public static CostModel Parse(string? text)
    {
        if (text == null)
        {
            return CostModel.Default;
        }

        var pairs = OptionText.Pairs("--cost", text, "profile", ["file", "kernel-devices", .. CostKinds.PricedKeys]);
        try
        {
            var model = Start(pairs);
            foreach (var (key, value) in pairs)
            {
                model = CostKinds.TryParse(key, out var kind) ? model.With(kind, (ulong)OptionText.Integer($"--cost {key}", value, 0, (long)CostModel.Limit))
                    : key == "kernel-devices" ? model.WithKernelDevices(value.Split('+', StringSplitOptions.RemoveEmptyEntries)) : model;
            }

            return model;
        }
        catch (CostException bad)
        {
            throw new UsageException($"--cost {bad.Message}");
        }
    }

    static CostModel Start(Dictionary<string, string> pairs)
    {
        if (!pairs.TryGetValue("file", out var path))
        {
            return pairs.TryGetValue("profile", out var profile) ? CostProfiles.Get(profile) : CostModel.Default;
        }

        if (pairs.ContainsKey("profile"))
        {
            throw new UsageException("--cost: 'profile' and 'file' exclude each other; a file names its 'base'");
        }

        try
        {
            return CostProfiles.Parse(ImageFile.Read(path, "cost profile", 1 << 20));
        }
        catch (CostException bad)
        {
            throw new UsageException($"--cost file={path}: {bad.Message}");
        }
    }
}
