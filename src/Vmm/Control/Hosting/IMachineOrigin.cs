using Vmm.Api.V1;
using Vmm.Machine;

namespace Vmm.Control.Hosting;

/// <summary>Where a machine comes from: a description, a snapshot file, another machine. Used once, on the machine's own thread.</summary>
internal interface IMachineOrigin
{
    /// <summary>Machine that it is a copy of, or empty.</summary>
    string ForkedFrom => "";

    /// <summary>State of the machine when it is built.</summary>
    MachineState State { get; }

    /// <summary>The image that a reset goes back to, or null for the machine as it is built.</summary>
    MachineImage? Boot => null;

    /// <summary>Builds the machine; its console is the host's.</summary>
    VirtualMachine Build(MachineHost host);

    /// <summary>Building failed: gives back what was held for it.</summary>
    void Release()
    {
    }
}

/// <summary>A machine from its description.</summary>
internal sealed class NewMachine(MachineConfig config, BootSource source) : IMachineOrigin
{
    /// <inheritdoc/>
    public MachineState State => MachineState.Created;

    /// <inheritdoc/>
    public VirtualMachine Build(MachineHost host)
    {
        var machine = new VirtualMachine(config, host.Console);
        try
        {
            machine.Boot(source);
            return machine;
        }
        catch
        {
            machine.Dispose();
            throw;
        }
    }
}

/// <summary>A machine from a snapshot file.</summary>
internal sealed class SavedMachine(Stream file, MachineConfig devices) : IMachineOrigin
{
    /// <inheritdoc/>
    public MachineState State => MachineState.Paused;

    /// <inheritdoc/>
    public VirtualMachine Build(MachineHost host)
    {
        using (file)
        {
            return SnapshotFile.Restore(file, devices, host.Console);
        }
    }
}

/// <summary>A copy of another machine.</summary>
/// <param name="source">Name of the other.</param>
/// <param name="console">Its console.</param>
/// <param name="state">Its state.</param>
/// <param name="image">Its frozen state, which this takes a share of.</param>
/// <param name="boot">The image that its resets go back to, which this takes a share of.</param>
internal sealed class ForkedMachine(string source, ConsoleLog console, MachineState state, MachineImage image, MachineImage boot) : IMachineOrigin
{
    /// <inheritdoc/>
    public string ForkedFrom => source;

    /// <inheritdoc/>
    public MachineState State => state;

    /// <inheritdoc/>
    public MachineImage? Boot { get; } = boot.Share();

    readonly MachineImage image = image.Share();

    /// <inheritdoc/>
    public VirtualMachine Build(MachineHost host)
    {
        using (image)
        {
            host.Console.CopyFrom(console);
            return VirtualMachine.Fork(image, host.Console);
        }
    }

    /// <inheritdoc/>
    public void Release() => Boot!.Dispose();
}
