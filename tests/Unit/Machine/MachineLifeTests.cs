using Vmm.Cli;
using Vmm.Machine;
using Xunit;

namespace Vmm.Unit.Machine;

public sealed class MachineLifeTests
{
    [Fact]
    public void A_machine_may_be_disposed_of_twice()
    {
        var machine = new VirtualMachine(new MachineConfig { MemoryBytes = 16 << 20, Vcpus = 2 }, new ConsolePort());
        machine.Dispose();
        machine.Dispose();
    }
}
