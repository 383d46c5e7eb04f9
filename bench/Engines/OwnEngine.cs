using System.Reflection;
using Vmm.Bench.Image;
using Vmm.Firmware.Boot;
using Vmm.Machine;
using Vmm.Platform.Bus;

namespace Vmm.Bench.Engines;

/// <summary>This project's machine, in process.</summary>
internal sealed class OwnEngine : IEngine
{
    /// <inheritdoc/>
    public string Name => "vmm";

    /// <inheritdoc/>
    public string? Version => $".NET {Environment.Version}, {typeof(VirtualMachine).Assembly.GetCustomAttribute<AssemblyConfigurationAttribute>()?.Configuration} build";

    /// <inheritdoc/>
    public IReadOnlyList<Measurement> Run(byte[] image, IReadOnlyList<Loop> loops)
    {
        var reader = new MarkerReader(loops.Count, new ProcessorTime(Environment.ProcessId).Now);
        var config = new MachineConfig { MemoryBytes = 64 << 20 };
        using var machine = new VirtualMachine(config, new Sink(reader));
        machine.Boot(BootLoader.Plan(new()
        {
            RamBytes = config.MemoryBytes, Image = image.AsMemory(0, (1 + Layout.RestSectors) * Layout.SectorSize), Protocol = BootProtocol.Flat,
        }));
        var outcome = machine.Run();
        return reader.IsDone ? reader.Measured : throw new EngineException($"{outcome.Detail} after {reader.Measured.Count} loops");
    }

    sealed class Sink(MarkerReader reader) : IConsoleOutput
    {
        public void Write(ReadOnlySpan<byte> data) => reader.Feed(data);
    }
}
