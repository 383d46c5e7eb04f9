using System.Buffers.Binary;
using System.Text;
using Vmm.Chipset;
using Vmm.Platform.Bus;
using Vmm.Platform.Interrupts;
using Xunit;

namespace Vmm.Unit.Chipset;

public class TestDeviceTests
{
    readonly TestLine[] lines = [.. Enumerable.Range(0, 24).Select(static _ => new TestLine())];
    readonly TestConsole console = new();
    readonly PcTestDevice device;

    public TestDeviceTests() => device = new(lines, new DebugConsole(console));

    [Fact]
    public void Debug_exit_takes_the_written_value()
    {
        var power = new TestPower();
        var exit = new DebugExit(power);
        exit.Write8(0, 0x10);
        exit.Write32(0, 0x12345);
        Assert.Equal(["exit 10", "exit 12345"], power.Events);
        Assert.Equal(0u, exit.Read32(0));
    }

    [Fact]
    public void The_debug_console_shows_itself_by_0xE9()
    {
        Assert.Equal(0xE9, device.BytePorts.Read8(1));
        device.BytePorts.Write8(1, (byte)'k');
        Assert.Equal("k", console.Text);
    }

    [Fact]
    public void The_data_word_is_one_in_both_windows()
    {
        device.DataPorts.Write32(0, 0x4433_2211);
        Assert.Equal(0x33, device.DataPorts.Read8(2));
        device.DataPorts.Write16(2, 0xBBAA);
        Assert.Equal(0xBBAA_2211u, device.BytePorts.Read32(0));
        device.BytePorts.Write8(0, 0x99);
        Assert.Equal(0xBBAA_2299u, device.DataPorts.Read32(0));
        device.DataPorts.Write32(3, 0x0102_0304);
        Assert.Equal(0x04AA_2299u, device.DataPorts.Read32(0));
    }

    [Fact]
    public void Interrupt_ports_move_the_lines()
    {
        device.IrqPorts.Write8(14, 1);
        Assert.True(lines[14].Level);
        device.IrqPorts.Write8(14, 0);
        Assert.False(lines[14].Level);
        Assert.Equal(IoResult.Unclaimed, device.IrqPorts.Write(14, [1, 1]));
        Assert.Equal(IoResult.Unclaimed, device.IrqPorts.Write(24, [1]));
    }

    [Fact]
    public void Device_memory_keeps_what_is_written_up_to_its_end()
    {
        device.Memory.Write32(0xFFFE, 0x4433_2211);
        Assert.Equal(0x0000_2211u, device.Memory.Read32(0xFFFE));
        Assert.Equal(0u, device.Memory.Read32(0x20000));
        device.FlushPorts.Write32(0, 0x1000);
    }

    [Fact]
    public void A_snapshot_carries_word_and_memory()
    {
        var one = new TestDeviceTests();
        one.device.DataPorts.Write32(0, 0x1234);
        one.device.Memory.Write32(0x100, 0x5678);
        var two = new TestDeviceTests();
        SnapshotContract.Load(two.device, SnapshotContract.Save(one.device));
        Assert.Equal(0x1234u, two.device.DataPorts.Read32(0));
        Assert.Equal(0x5678u, two.device.Memory.Read32(0x100));
        two.device.IrqPorts.Write8(3, 1);
        two.device.Reset();
        Assert.False(two.lines[3].Level);
        Assert.Equal(0u, two.device.Memory.Read32(0x100));
    }

    static byte[] Item(FwCfg fw, ushort key, int length)
    {
        fw.Write16(0, key);
        return [.. Enumerable.Range(0, length).Select(_ => fw.Read8(1))];
    }

    [Fact]
    public void Fw_cfg_answers_the_well_known_keys()
    {
        var fw = new FwCfg(0x1_2345_6000, 6);
        Assert.Equal("QEMU", Encoding.ASCII.GetString(Item(fw, 0, 4)));
        Assert.Equal([1, 0, 0, 0, 0], Item(fw, 1, 5));
        Assert.Equal(0x1_2345_6000ul, BitConverter.ToUInt64(Item(fw, 3, 8)));
        Assert.Equal([6, 0], Item(fw, 5, 2));
        Assert.Equal([6, 0], Item(fw, 0xF, 2));
        Assert.Equal([6, 0], Item(fw, 0x4005, 2));
        Assert.Equal([0, 0, 0, 0], Item(fw, 0x19, 4));
        Assert.Equal([0, 0], Item(fw, 0x1234, 2));
        Assert.Equal(IoResult.Unclaimed, fw.Write(1, [0]));
        Assert.Equal(IoResult.Unclaimed, fw.Read(0, new byte[4]));
    }

    [Fact]
    public void Fw_cfg_lists_files_in_big_endian()
    {
        var fw = new FwCfg(1 << 20, 1);
        fw.AddFile("etc/a", [1, 2, 3]);
        fw.AddFile("opt/b", [9]);
        var directory = Item(fw, 0x19, 4 + 2 * 64);
        Assert.Equal(2u, BinaryPrimitives.ReadUInt32BigEndian(directory));
        Assert.Equal(3u, BinaryPrimitives.ReadUInt32BigEndian(directory.AsSpan(4)));
        Assert.Equal(0x20, BinaryPrimitives.ReadUInt16BigEndian(directory.AsSpan(8)));
        Assert.Equal("etc/a", Encoding.ASCII.GetString(directory, 12, 56).TrimEnd('\0'));
        Assert.Equal([9, 0], Item(fw, 0x21, 2));
        Assert.Throws<ArgumentException>(() => fw.AddFile("etc/a", []));
        Assert.Throws<ArgumentException>(() => fw.AddFile(new('x', 56), []));
    }

    [Fact]
    public void Fw_cfg_snapshots_the_place_of_reading() =>
        SnapshotContract.Holds(
            static () => new FwCfg(0x1234_5678, 2),
            static fw => fw,
            static fw => Item(fw, 3, 2),
            static fw => Item(fw, 5, 1),
            static fw => $"{fw.Read8(1):x} {fw.Read8(1):x} {fw.Read8(1):x}");
}
