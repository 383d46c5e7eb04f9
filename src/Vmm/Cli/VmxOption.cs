using Vmm.Cpu.Vmx;

namespace Vmm.Cli;

/// <summary>The option <c>--vmx</c>.</summary>
internal static class VmxOption
{
    /// <summary>What it takes.</summary>
    public const string Help = "profile=kvm|exit-all|minimal,preserve-mce=on|off,stale-host-cr4=on|off,host-mce=on|off|late";

    /// <summary>Parses it.</summary>
    /// <exception cref="UsageException">A key or value is unknown.</exception>
    public static VmxOptions Parse(string? text)
    {
        var options = new VmxOptions();
        if (text == null)
        {
            return options;
        }

        foreach (var (key, value) in OptionText.Pairs("--vmx", text, "profile", "preserve-mce", "stale-host-cr4", "host-mce"))
        {
            options = key switch
            {
                "profile" => options with { Profile = Profile("--vmx", value) },
                "preserve-mce" => options with { PreserveMce = OptionText.Flag("--vmx preserve-mce", value) },
                "stale-host-cr4" => options with { StaleHostCr4 = OptionText.Flag("--vmx stale-host-cr4", value) },
                _ => value switch
                {
                    "on" => options with { HostMceAtCreation = true, HostMce = true },
                    "off" => options with { HostMceAtCreation = false, HostMce = false },
                    "late" => options with { HostMceAtCreation = false, HostMce = true },
                    _ => throw new UsageException($"--vmx host-mce: '{value}' is not on, off or late"),
                },
            };
        }

        return options;
    }

    /// <summary>A profile by name.</summary>
    public static VmxProfile Profile(string option, string name) => VmxProfile.All.FirstOrDefault(p => p.Name == name)
        ?? throw new UsageException($"{option} profile: '{name}' is not {string.Join(" or ", VmxProfile.All.Select(p => p.Name))}");
}
