using Vmm.Bench.Control;
using Vmm.Bench.Dma;
using Vmm.Bench.Engines;
using Vmm.Bench.Fio;
using Vmm.Bench.Image;
using Vmm.Bench.Layer;
using Vmm.Bench.Ledger;
using Vmm.Bench.Reporting;
using Vmm.Bench.Rules;

namespace Vmm.Bench;

/// <summary>Measurements beside other engines; see README.md.</summary>
internal static class Program
{
    const string Usage = """
        usage: bench cpu  [--quick] [--rounds N] [--engines vmm,qemu,icount,bochs] [--loops alu,memory,...] [--output FILE]
               bench boot --kernel FILE [--initrd FILE] [--append TEXT] [--until TEXT] [--memory MIB] [--engines vmm,qemu]
               bench dma  [--quick] [--rounds N] [--output FILE]
               bench layer [--quick] [--rounds N] [--output FILE]
               bench rules [PART] [--quick] [--rounds N] [--output FILE]
               bench control [--quick] [--rounds N] [--output FILE]
               bench ledger [--kernel FILE] [--initrd FILE] [--append TEXT] [--rounds N] [--output FILE]
               bench fio  --kernel-package DEB --busybox DEB [--iommu virtio|vtd|none] [--policies strict,lazy] [--rounds N] [--engines vmm,qemu] [--output FILE]
               bench image FILE
        """;

    static int Main(string[] arguments)
    {
        try
        {
            var options = new Options(arguments);
            return options.Verb switch
            {
                "cpu" => CpuComparison.Run(options),
                "boot" => BootComparison.Run(options),
                "dma" => DmaComparison.Run(options),
                "layer" => LayerSpeed.Run(options),
                "rules" => RuleComparison.Run(options),
                "control" => ControlComparison.Run(options),
                "ledger" => LedgerComparison.Run(options),
                "fio" => FioComparison.Run(options),
                "image" => WriteImage(options),
                _ => throw new FormatException($"'{options.Verb}' is not cpu, boot, dma, layer, rules, control, ledger, fio or image"),
            };
        }
        catch (FormatException bad)
        {
            Console.Error.WriteLine($"bench: {bad.Message}\n{Usage}");
            return 2;
        }
    }

    static int WriteImage(Options options)
    {
        File.WriteAllBytes(options.Operand ?? throw new FormatException("image: a file name is needed"), LoopImage.Build(Loops.All, 1));
        return 0;
    }
}
