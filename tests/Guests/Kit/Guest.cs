using System.Text;
using Vmm.Cli;
using Vmm.Firmware.Archives;
using Vmm.Firmware.Boot;
using Vmm.Firmware.Initrd;
using Vmm.Machine;

namespace Vmm.Guests.Kit;

/// <summary>A Debian kernel image and its modules.</summary>
internal sealed class Kernel(string package)
{
    public static Kernel Cloud => new(DebianArchive.Resolve("linux-image-cloud-amd64"));

    public static Kernel Generic => new(DebianArchive.Resolve("linux-image-amd64"));

    public static Kernel Backport => new(DebianArchive.ResolveBackport());

    /// <summary>The NVMe driver and what it needs, in the order of loading; the cloud kernel has it built in.</summary>
    public IReadOnlyList<KernelModule> NvmeModules => KernelModules.Extract(
        Package, "crct10dif_common", "crct10dif_generic", "crc-t10dif", "crc64", "crc64_rocksoft_generic", "crc64-rocksoft", "t10-pi", "nvme-core", "nvme");

    public DebianPackage Package { get; } = DebianArchive.Get(package);

    public ReadOnlyMemory<byte> Image => Package.Extract(path => path.Contains("boot/vmlinuz", StringComparison.Ordinal)).Single().Content;
}

/// <summary>A guest that boots a kernel with a busybox initramfs, and what came of it.</summary>
internal sealed class Guest : IDisposable
{
    public const string Marker = "GUEST-MARKER";

    readonly Console console = new();

    public Guest(Kernel kernel, string init, int vcpus = 1, ulong memory = 256ul << 20, string append = "", IReadOnlyList<ArchiveEntry>? extra = null, IReadOnlyList<KernelModule>? modules = null, Func<MachineConfig, MachineConfig>? configure = null)
        : this(kernel, Configure(new MachineConfig { MemoryBytes = memory, Vcpus = vcpus }, configure), init, append, extra, modules)
    {
    }

    static MachineConfig Configure(MachineConfig config, Func<MachineConfig, MachineConfig>? configure) => configure?.Invoke(config) ?? config;

    public Guest(Kernel kernel, MachineConfig config, string init, string append, IReadOnlyList<ArchiveEntry>? extra = null, IReadOnlyList<KernelModule>? modules = null)
    {
        Machine = new(config, console.Port);
        var initrd = new BusyboxInitrd
        {
            Busybox = DebianArchive.Get("busybox-static"), Init = init, Extra = extra ?? [], Modules = modules ?? [],
        }.Pack();
        Machine.Boot(BootLoader.Plan(new()
        {
            RamBytes = config.MemoryBytes, Image = kernel.Image, CommandLine = $"console=ttyS0 cryptomgr.notests {append}".Trim(), Modules = [new("", initrd)],
            Acpi = Machine.BuildAcpi(),
        }));
    }

    Guest(MachineImage image)
    {
        Machine = new(image.Config, console.Port);
        Machine.Restore(image);
    }

    public VirtualMachine Machine { get; }

    public string Output => console.Text;

    public ConsolePort Port => console.Port;

    /// <summary>An /init that mounts the usual file systems, runs a script and powers off.</summary>
    public static string Script(string body) =>
        $"""
        #!/bin/sh
        export PATH=/bin:/usr/bin:/sbin:/usr/sbin
        mkdir -p /proc /sys /dev /tmp
        mount -t proc proc /proc
        mount -t sysfs sys /sys
        mount -t devtmpfs dev /dev
        {body}
        echo {Marker}
        poweroff -f
        """.ReplaceLineEndings("\n") + "\n";

    public static Guest Fork(MachineImage image) => new(image);

    /// <summary>Runs to the end, at most so many instructions.</summary>
    public RunOutcome Run(ulong instructions = 20_000_000_000) => Machine.Run(untilInstructions: instructions);

    public void Dispose() => Machine.Dispose();

    sealed class Console
    {
        readonly StringBuilder text = new();

        public Console()
        {
            Port = new();
            Port.AddSink(new Sink(text));
        }

        public ConsolePort Port { get; }

        public string Text => text.ToString();

        sealed class Sink(StringBuilder text) : Stream
        {
            public override bool CanRead => false;

            public override bool CanSeek => false;

            public override bool CanWrite => true;

            public override long Length => text.Length;

            public override long Position { get; set; }

            public override void Flush()
            {
            }

            public override int Read(byte[] buffer, int offset, int count) => 0;

            public override long Seek(long offset, SeekOrigin origin) => 0;

            public override void SetLength(long value)
            {
            }

            public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

            public override void Write(ReadOnlySpan<byte> buffer) => text.Append(Encoding.UTF8.GetString(buffer).Replace("\r", "", StringComparison.Ordinal));
        }
    }
}
