using Vmm.Firmware.Boot;
using Vmm.Machine;
using Xunit;

namespace Vmm.Unit.Machine;

/// <summary>What an image is given that is given nothing.</summary>
public sealed class BootSourceTests
{
    [Theory]
    [InlineData(BootProtocol.Multiboot, "")]
    [InlineData(BootProtocol.Flat, "")]
    [InlineData(BootProtocol.Linux64, BootSource.DefaultCommandLine)]
    [InlineData(BootProtocol.Pvh, BootSource.DefaultCommandLine)]
    public void Only_kernels_get_a_command_line_by_default(BootProtocol protocol, string expected) => Assert.Equal(expected, BootSource.DefaultFor(protocol));
}
