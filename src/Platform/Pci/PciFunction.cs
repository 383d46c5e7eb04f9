using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Registers;
using Vmm.Platform.Snapshots;
using Vmm.Specs.Pci;

namespace Vmm.Platform.Pci;

/// <summary>
/// One PCI function: 4 KiB of config space with a type 0 header, its BARs, capabilities, interrupts and DMA port.
/// A device owns one, adds what it needs in its constructor, and is called back through <see cref="IPciDevice"/>.
/// </summary>
public sealed partial class PciFunction : ISnapshotPart
{
    readonly IPciDevice? device;
    PciBus? bus;
    bool intx;

    /// <param name="identity">Ids and class.</param>
    /// <param name="address">Bus, device and function number.</param>
    /// <param name="fabric">The machine's DMA fabric.</param>
    /// <param name="device">Who is behind; null for functions that are nothing but config space.</param>
    public PciFunction(in PciIdentity identity, Bdf address, DmaFabric fabric, IPciDevice? device)
    {
        this.device = device;
        Name = identity.Name;
        Address = address;
        Dma = new(fabric, address) { BusMaster = false, Account = fabric.Ledger?.Account(Name) };
        Config = new(
            PciHeader.EcamSize,
            new RegisterDefinition("VID", PciHeader.VendorId, 2, Reset: identity.VendorId),
            new RegisterDefinition("DID", PciHeader.DeviceId, 2, Reset: identity.DeviceId),
            new RegisterDefinition("CMD", PciHeader.Command, 2, Write: PciCommand.Implemented),
            new RegisterDefinition("STS", PciHeader.Status, 2, ClearOnOne: PciStatus.ClearOnOne),
            new RegisterDefinition("RID.CC", PciHeader.RevisionClass, 4, Reset: identity.ClassCode << 8 | identity.Revision),
            new RegisterDefinition("CLS", PciHeader.CacheLineSize, 1, Write: 0xFF),
            new RegisterDefinition("HTYPE", PciHeader.HeaderType, 1),
            new RegisterDefinition("SSVID", PciHeader.SubsystemVendorId, 2, Reset: identity.SubsystemVendorId),
            new RegisterDefinition("SSID", PciHeader.SubsystemId, 2, Reset: identity.SubsystemId),
            new RegisterDefinition("CAP", PciHeader.CapabilitiesPointer, 1),
            new RegisterDefinition("ILINE", PciHeader.InterruptLine, 1, Write: 0xFF),
            new RegisterDefinition("IPIN", PciHeader.InterruptPin, 1));
    }

    /// <summary>Instance name.</summary>
    public string Name { get; }

    /// <summary>Bus, device and function number.</summary>
    public Bdf Address { get; }

    /// <summary>Config space.</summary>
    public RegisterFile Config { get; }

    /// <summary>The function's way to memory.</summary>
    public DmaPort Dma { get; }

    /// <summary>BARs by number.</summary>
    public IReadOnlyList<PciBar> Bars => bars;

    /// <summary>Interrupt pin: 0 none, 1 INTA# to 4 INTD#.</summary>
    public int InterruptPin => Config.Get8(PciHeader.InterruptPin);

    /// <summary>The wire behind the interrupt pin.</summary>
    public IInterruptLine? IntxLine { get; set; }

    /// <summary>The bus the function is plugged into, or null.</summary>
    internal PciBus? Bus
    {
        get => bus;
        set
        {
            bus = value;
            UpdateGates();
        }
    }

    bool IsAwake => bus != null && !IsAsleep;

    PciCommand Command => new(Config.Get16(PciHeader.Command));

    /// <inheritdoc/>
    public string SectionName => "pci." + Name;

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <summary>Reads config space; all of <paramref name="data"/> is set. Bytes past 4 KiB are ones.</summary>
    public void ReadConfig(int offset, Span<byte> data)
    {
        device?.ConfigReading(offset, data.Length);
        if (!Config.Read((ulong)offset, data))
        {
            data.Fill(0xFF);
        }
    }

    /// <summary>Writes config space and carries out what the registers command.</summary>
    public void WriteConfig(int offset, ReadOnlySpan<byte> data)
    {
        foreach (var register in Config.Write((ulong)offset, data))
        {
            ConfigWritten(register);
        }
    }

    /// <summary>
    /// Sends interrupt <paramref name="vector"/> as MSI-X or MSI. False when neither is enabled: the device then
    /// uses <see cref="SetIntx"/>.
    /// </summary>
    public bool Raise(int vector) => Msix?.Enabled == true ? Msix.Raise(vector) : Msi?.Enabled == true && Msi.Raise(vector);

    /// <summary>True while MSI or MSI-X is enabled, so INTx is not to be used (PCI 3.0 §6.8.3.3).</summary>
    public bool UsesMessages => Msix?.Enabled == true || Msi?.Enabled == true;

    /// <summary>Says whether the device wants its INTx pin asserted; the command register and MSI decide whether it is.</summary>
    public void SetIntx(bool wanted)
    {
        if (intx != wanted)
        {
            intx = wanted;
            UpdateGates();
        }
    }

    /// <summary>Function-level and platform reset (PCIe 4.0 §6.6): config space, BARs, interrupts, then the device.</summary>
    public void Reset()
    {
        Config.Reset();
        Msix?.Reset();
        intx = false;
        RestorePowerState();
        UpdateGates();
        Bus?.Remap();
        device?.FunctionReset();
    }

    internal bool Decodes(bool io) => !IsAsleep && (io ? Command.IoSpace : Command.MemorySpace);

    internal IoResult ReadBar(int bar, ulong offset, Span<byte> data) =>
        Msix != null && Msix.Bar == bar && Msix.Covers(offset)
            ? Msix.Read(offset, data)
            : device?.ReadBar(bar, offset, data) ?? IoResult.Unclaimed;

    internal IoResult WriteBar(int bar, ulong offset, ReadOnlySpan<byte> data) =>
        Msix != null && Msix.Bar == bar && Msix.Covers(offset)
            ? Msix.Write(offset, data)
            : device?.WriteBar(bar, offset, data) ?? IoResult.Unclaimed;

    internal void SetMultiFunction(bool several) => Config.SetReset(PciHeader.HeaderType, several ? PciHeader.MultiFunction : 0u);

    void ConfigWritten(int register)
    {
        if (register is >= PciHeader.Bar0 and < PciHeader.Bar0 + 24)
        {
            Bus?.Remap();
        }
        else if (register == PciHeader.Command)
        {
            UpdateGates();
            Bus?.Remap();
        }
        else if (!CapabilityWritten(register))
        {
            device?.ConfigWritten(register);
        }
    }

    /// <summary>Bus mastering and the INTx level follow the command register, the power state and MSI; unplugged, both end.</summary>
    void UpdateGates()
    {
        UpdateState();
        IntxLine?.Set(intx && !Command.InterruptDisable && !UsesMessages && IsAwake);
    }

    void UpdateState()
    {
        Dma.BusMaster = Command.BusMaster && IsAwake;
        var status = Config.Get16(PciHeader.Status) & ~PciStatus.InterruptStatus;
        Config.Set16(PciHeader.Status, (ushort)(status | (intx ? PciStatus.InterruptStatus : 0)));
    }

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        Config.Save(writer);
        writer.Flag(intx);
        Msix?.Save(writer);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        var identity = Config.Get32(PciHeader.VendorId);
        Config.Load(reader);
        if (Config.Get32(PciHeader.VendorId) != identity)
        {
            throw reader.Bad("the state is of another kind of device");
        }

        intx = reader.Flag();
        Msix?.Load(reader);
        RestorePowerState();
        // No line is driven: both ends of a wire have their level in the snapshot.
        UpdateState();
        Bus?.Remap();
    }
}
