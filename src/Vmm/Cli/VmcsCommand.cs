using System.CommandLine;
using System.Globalization;
using System.Text;
using Vmm.Cpu.Vmx;
using Vmm.Machine;
using Vmm.Specs.X86;

namespace Vmm.Cli;

/// <summary><c>vmm vmcs</c>: the VMCS of each vCPU, from a snapshot or as a profile sets it up, and what a VM entry would make of it.</summary>
internal static class VmcsCommand
{
    /// <summary>Builds the command.</summary>
    public static Command Create()
    {
        var restore = new Option<string?>("--restore") { Description = "snapshot of the machine; without it, the VMCS before the first VM entry" };
        var profile = new Option<string>("--profile") { Description = "kvm, exit-all or minimal, without a snapshot", DefaultValueFactory = _ => "kvm" };
        var iommu = new Option<string?>("--iommu") { Description = "the unit that the snapshot was saved with" };
        var disk = new Option<string[]>("--disk") { Description = "the disks it was saved with" };
        var edu = new Option<string?>("--edu") { Description = "the edu device it was saved with" };
        var vcpu = new Option<string>("--vcpu") { Description = "number of the vCPU", DefaultValueFactory = _ => "0" };
        var set = new Option<string[]>("--set") { Description = "FIELD=VALUE: change a field, by name or encoding, to see what a VM entry says" };
        var command = new Command("vmcs", "Print a VMCS: fields by name, encoding, value and meaning") { restore, profile, iommu, disk, edu, vcpu, set };
        command.SetAction(result =>
        {
            var devices = new MachineConfig
            {
                Disks = [.. (result.GetValue(disk) ?? []).Select(DeviceOptions.Disk)],
                Edu = result.GetValue(edu) is { } e ? DeviceOptions.Edu(e) : null,
            }.WithIommu(result.GetValue(iommu));
            var config = new MachineConfig { Vmx = new VmxOptions { Profile = VmxOption.Profile("--profile", result.GetValue(profile)!) } };
            using var machine = result.GetValue(restore) is { } path ? IommuCommand.Restored(path, devices, new ConsolePort()) : new VirtualMachine(config, new ConsolePort());
            var number = (int)OptionText.Integer("--vcpu", result.GetValue(vcpu)!, 0, machine.Vcpus.Count - 1);
            Console.Write(Text(machine.Vcpus[number].Vmx, result.GetValue(set) ?? []));
            return ExitCode.Pass;
        });
        return command;
    }

    /// <summary>The VMCS with some fields changed, and the verdict of a VM entry.</summary>
    public static string Text(NonRoot vmx, IReadOnlyList<string> changes)
    {
        var vmcs = vmx.Capture();
        foreach (var change in changes)
        {
            Set(vmcs, change);
        }

        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture,
            $"vCPU {vmx.Index} on physical CPU {vmx.Physical.Index}: profile {vmx.Options.Profile.Name}, CR4.MCE {(vmx.Options.PreserveMce ? "of the host" : "of the guest")}, host CR4 {(vmx.Options.StaleHostCr4 ? "as it was at creation" : "read live")}, {vmx.Exits} exits");
        text.Append(VmcsText.All(vmcs));
        text.AppendLine($"VM entry: {EntryChecks.Run(vmcs)?.ToString() ?? "passes all checks"}");
        return text.ToString();
    }

    static void Set(Vmcs vmcs, string change)
    {
        var parts = change.Split('=', 2);
        if (parts.Length != 2)
        {
            throw new UsageException($"--set: '{change}' is not FIELD=VALUE");
        }

        var encoding = Enum.TryParse<VmcsField>(parts[0], true, out var field) && VmcsFields.IsKnown(field) ? (uint)field : (uint)Number(parts[0]);
        try
        {
            vmcs.Write(encoding, Number(parts[1]));
        }
        catch (VmcsFieldException bad)
        {
            throw new UsageException($"--set: {bad.Message}");
        }
    }

    static ulong Number(string text)
    {
        var hex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        return ulong.TryParse(hex ? text[2..] : text, hex ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out var value)
            ? value
            : throw new UsageException($"--set: '{text}' is neither a field nor a number");
    }
}
