using System.Buffers.Binary;
using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Pci;
using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>
/// Host bridge of PCI bus 0: configuration mechanism #1 at ports 0xCF8 and 0xCFC (PCI 3.0 §3.2.2.3.2), ECAM
/// (PCIe 4.0 §7.2.2), the functions 00:00.0 and 00:1f.0 that Q35 machines have, and the wiring of INTx.
/// There are no bridges; all buses but 0 are empty.
/// </summary>
public sealed class PciHost : ISnapshotPart
{
    /// <summary>First address of ECAM.</summary>
    public const ulong EcamBase = 0xE000_0000;

    /// <summary>Length of ECAM: bus 0.</summary>
    public const ulong EcamLength = 0x10_0000;

    readonly PciInterruptRouter router = new();
    uint configAddress;

    /// <param name="bus">The machine's address spaces; the ports and ECAM are claimed here.</param>
    /// <param name="fabric">The machine's DMA fabric.</param>
    public PciHost(SystemBus bus, DmaFabric fabric)
    {
        Pci = new(bus);
        bus.Pio.Map("pci.address", 0xCF8, 4, new AddressPort(this));
        bus.Pio.Map("pci.data", 0xCFC, 4, new DataPort(this));
        bus.Mmio.Map("pci.ecam", EcamBase, EcamLength, new Ecam(this));
        Add(PciBridges.HostBridge(fabric));
        Add(PciBridges.IsaBridge(fabric));
    }

    /// <summary>The functions on bus 0.</summary>
    public PciBus Pci { get; }

    /// <summary>How INTx pins reach the I/O APIC: for the ACPI builder, and to connect the lines.</summary>
    public PciInterruptRouter Interrupts => router;

    /// <summary>
    /// Who answers byte and word accesses of ports 0xCF8 to 0xCFB, which are not the configuration address register;
    /// the reset control register is at 0xCF9. Offsets start at 0xCF8.
    /// </summary>
    public IBusTarget? OtherPorts { get; set; }

    /// <inheritdoc/>
    public string SectionName => "pcihost";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <summary>Plugs a function in and wires its interrupt pin.</summary>
    public void Add(PciFunction function)
    {
        Pci.Add(function);
        router.Connect(function);
    }

    /// <summary>Platform reset: every function, and the address register. BARs are unassigned afterwards.</summary>
    public void Reset()
    {
        configAddress = 0;
        foreach (var function in Pci.Functions)
        {
            function.Reset();
        }
    }

    /// <summary>Does what firmware does before a guest starts: see <see cref="PciResources.Assign"/>.</summary>
    /// <returns>BARs that found no room; they are left at 0.</returns>
    public IReadOnlyList<PciBar> AssignResources(PciWindows windows) => PciResources.Assign(Pci, windows);

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U32(configAddress);
        router.Save(writer);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        configAddress = reader.U32();
        router.Load(reader);
    }

    void ReadConfig(int bus, int devfn, int register, Span<byte> data)
    {
        if (bus != 0 || Pci.Find(devfn) is not { } function)
        {
            // Nobody answers the cycle: master abort.
            data.Fill(0xFF);
            return;
        }

        function.ReadConfig(register, data);
    }

    void WriteConfig(int bus, int devfn, int register, ReadOnlySpan<byte> data)
    {
        if (bus == 0)
        {
            Pci.Find(devfn)?.WriteConfig(register, data);
        }
    }

    sealed class AddressPort(PciHost host) : IBusTarget
    {
        public IoResult Read(ulong offset, Span<byte> data)
        {
            if (data.Length != 4)
            {
                return host.OtherPorts?.Read(offset, data) ?? IoResult.Unclaimed;
            }

            BinaryPrimitives.WriteUInt32LittleEndian(data, host.configAddress);
            return IoResult.Ok;
        }

        public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            if (data.Length != 4)
            {
                return host.OtherPorts?.Write(offset, data) ?? IoResult.Unclaimed;
            }

            // Bits 30:24 and 1:0 are reserved and read 0.
            host.configAddress = BinaryPrimitives.ReadUInt32LittleEndian(data) & 0x80FF_FFFC;
            return IoResult.Ok;
        }
    }

    sealed class DataPort(PciHost host) : IBusTarget
    {
        bool Enabled => host.configAddress >> 31 != 0;

        int Bus => (int)(host.configAddress >> 16 & 0xFF);

        int DevFn => (int)(host.configAddress >> 8 & 0xFF);

        public IoResult Read(ulong offset, Span<byte> data)
        {
            if (!Enabled)
            {
                return IoResult.Unclaimed;
            }

            host.ReadConfig(Bus, DevFn, (int)(host.configAddress & 0xFC) + (int)offset, data);
            return IoResult.Ok;
        }

        public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            if (!Enabled)
            {
                return IoResult.Unclaimed;
            }

            host.WriteConfig(Bus, DevFn, (int)(host.configAddress & 0xFC) + (int)offset, data);
            return IoResult.Ok;
        }
    }

    sealed class Ecam(PciHost host) : IBusTarget
    {
        public IoResult Read(ulong offset, Span<byte> data)
        {
            // An access that leaves its function's 4 KiB is answered by that function alone: ones.
            host.ReadConfig((int)(offset >> 20), (int)(offset >> 12) & 0xFF, (int)(offset & 0xFFF), data);
            return IoResult.Ok;
        }

        public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            host.WriteConfig((int)(offset >> 20), (int)(offset >> 12) & 0xFF, (int)(offset & 0xFFF), data);
            return IoResult.Ok;
        }
    }
}
