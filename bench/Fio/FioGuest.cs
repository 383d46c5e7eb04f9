using System.Diagnostics;
using Vmm.Firmware.Archives;
using Vmm.Firmware.Initrd;

namespace Vmm.Bench.Fio;

/// <summary>One job.</summary>
/// <param name="Name">Name in reports.</param>
/// <param name="Arguments">What fio is told.</param>
/// <param name="KiB">Bytes of a command in KiB.</param>
internal sealed record FioJob(string Name, string Arguments, int KiB)
{
    /// <summary>Commands of the job.</summary>
    public int Commands => FioGuest.JobMiB * 1024 / KiB;
}

/// <summary>Debian's kernel and this host's fio in an initramfs that runs the jobs and powers off.</summary>
/// <param name="Kernel">Kernel image.</param>
/// <param name="Initrd">Initramfs.</param>
/// <param name="Description">Which kernel and fio.</param>
internal sealed record FioGuest(byte[] Kernel, byte[] Initrd, string Description)
{
    /// <summary>MiB that each job moves.</summary>
    public const int JobMiB = 64;

    const string Fio = "/usr/bin/fio";

    /// <summary>The jobs in their order.</summary>
    public static IReadOnlyList<FioJob> Jobs { get; } =
    [
        new("randread 4k, depth 1", "--rw=randread --bs=4k --iodepth=1", 4),
        new("randread 4k, depth 32", "--rw=randread --bs=4k --iodepth=32", 4),
        new("randwrite 4k, depth 32", "--rw=randwrite --bs=4k --iodepth=32", 4),
        new("read 128k, depth 8", "--rw=read --bs=128k --iodepth=8", 128),
    ];

    /// <summary>Reads the packages and packs the initramfs.</summary>
    public static FioGuest Build(string kernelPackage, string busybox)
    {
        var kernel = DebianPackage.Open(kernelPackage);
        var work = string.Join('\n', Jobs.Select((job, i) => $"""
            echo "JOB-BEGIN {i}"
            {Fio} --name=j --filename=/dev/nvme0n1 --size={JobMiB}m --direct=1 --ioengine=libaio --randseed=7 --thread --minimal {job.Arguments} > /out 2>&1
            echo "JOB-END {i} $(cut -d';' -f5 /out) $(cut -d';' -f7,48 /out)"
            """));
        var initrd = new BusyboxInitrd
        {
            Busybox = DebianPackage.Open(busybox),
            Init = $"""
            #!/bin/sh
            export PATH=/bin:/usr/bin:/sbin:/usr/sbin
            mkdir -p /proc /sys /dev /tmp
            mount -t proc proc /proc
            mount -t sysfs sys /sys
            mount -t devtmpfs dev /dev
            . /{BusyboxInitrd.LoadScript}
            for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/nvme0n1 ] || sleep 0.1; done
            echo "GROUPS $(cat /sys/kernel/iommu_groups/*/type | sort | uniq -c)"
            {work}
            poweroff -f

            """.ReplaceLineEndings("\n"),
            Extra = FromHost(),
            Modules = KernelModules.Extract(kernel, "virtio_iommu"),
        }.Pack();
        return new(
            kernel.Extract(path => path.Contains("boot/vmlinuz", StringComparison.Ordinal)).Single().Content.ToArray(), initrd,
            $"{Path.GetFileName(kernelPackage).Split('_')[0]}, {Output(Fio, "--version").Trim()}");
    }

    static IReadOnlyList<ArchiveEntry> FromHost() =>
        [.. Output("/usr/bin/ldd", Fio).Split('\n', ' ', '\t').Where(w => w.StartsWith('/')).Prepend(Fio).Distinct()
            .Select(path => InitramfsEntries.Program(path.TrimStart('/'), File.ReadAllBytes(path)))];

    static string Output(string program, string argument)
    {
        using var process = Process.Start(new ProcessStartInfo(program, [argument]) { RedirectStandardOutput = true })
            ?? throw new FormatException($"{program} is not installed");
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return text;
    }
}
