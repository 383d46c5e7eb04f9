using Vmm.Api.V1;
using Vmm.Control;
using Vmm.Firmware;
using Vmm.Grpc;
using Vmm.Machine;

namespace Vmm.Cli;

/// <summary>A machine described in a file: the JSON form of the API's own message.</summary>
internal static class SpecFile
{
    /// <summary>Reads the file.</summary>
    /// <exception cref="UsageException">It cannot be read, or describes no machine; every reason is named.</exception>
    public static (MachineConfig Machine, BootSource Boot) Read(string path)
    {
        var text = System.Text.Encoding.UTF8.GetString(ImageFile.Read(path, "config", 1 << 20));
        var spec = (MachineSpec)FieldText.Parse(MachineSpec.Descriptor, text);
        try
        {
            return new SpecReader(null).Read(spec, "spec");
        }
        catch (RpcException bad)
        {
            throw new UsageException($"{path}: {bad.Status.Detail}");
        }
    }
}
