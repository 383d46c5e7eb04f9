using System.CommandLine;
using Vmm.Cli;
using Vmm.Firmware;
using Vmm.Machine;

namespace Vmm;

/// <summary>The <c>vmm</c> program.</summary>
internal static class Program
{
    /// <summary>Parses the command line and runs the command; every failure becomes one line and a fixed exit code.</summary>
    public static int Main(string[] args)
    {
        var root = new RootCommand("A software x86-64 machine whose every DMA goes through a faithful IOMMU")
        {
            RunCommand.Create(),
            InitrdCommand.Create(),
            IommuCommand.Create(),
            VmcsCommand.Create(),
            BenchCommand.Create(),
            ServeCommand.Create(),
        };
        try
        {
            var parsed = root.Parse(args);
            if (parsed.Errors.Count != 0)
            {
                Console.Error.WriteLine($"vmm: {string.Join(" ", parsed.Errors.Select(e => e.Message))}");
                return ExitCode.BadUsage;
            }

            return parsed.Invoke(new() { EnableDefaultExceptionHandler = false });
        }
        catch (Exception bad) when (bad is UsageException or ConfigException or ImageException)
        {
            Console.Error.WriteLine($"vmm: {bad.Message}");
            return ExitCode.BadUsage;
        }
        catch (InsufficientMemoryException bad)
        {
            Console.Error.WriteLine($"vmm: memory: {bad.Message}");
            return ExitCode.BadUsage;
        }
        catch (Exception defect)
        {
            Console.Error.WriteLine($"vmm: internal error: {defect}");
            return ExitCode.Internal;
        }
    }
}
