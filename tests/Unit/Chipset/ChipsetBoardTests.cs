using Vmm.Platform.Snapshots;
using Xunit;

namespace Vmm.Unit.Chipset;

public class ChipsetBoardTests
{
    static readonly ulong[] Ports =
        [0x20, 0x21, 0x40, 0x42, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x92, 0xA0, 0xA1, 0xE0, 0xE8, 0x3F8, 0x3F9, 0x3FA, 0x3FB, 0x3FC, 0x3FD, 0x4D0, 0x510, 0x511, 0x600, 0x602, 0x604, 0x608, 0x620, 0xCF9, 0x200E];

    static readonly ulong[] Pages = [0xFEC0_0000, 0xFED0_0000, 0xFEE0_0000, 0xFF00_0000];

    static readonly uint[] Msrs = [0x1B, 0x6E0, 0x802, 0x808, 0x80B, 0x80F, 0x828, 0x830, 0x832, 0x835, 0x838, 0x839, 0x83E, 0x83F];

    [Fact]
    public void A_timer_tick_reaches_the_core_through_the_8259()
    {
        var board = new ChipsetBoard();
        board.Out(0x21, 0xFE);
        board.Out(0x43, 0x34);
        board.Out(0x40, 0xE8);
        board.Out(0x40, 0x03);
        board.Clock.Pass(board.Clock.Hertz / 1000);
        Assert.True(board.Cores[0].Intr);
        Assert.Equal(0x08, board.Apics[0].Acknowledge());
        Assert.False(board.Cores[0].Intr);
    }

    [Fact]
    public void A_timer_tick_reaches_the_core_through_input_2_of_the_IO_APIC()
    {
        var board = new ChipsetBoard();
        board.Route(2, 0x30);
        board.Out(0x43, 0x34);
        board.Out(0x40, 0xE8);
        board.Out(0x40, 0x03);
        board.Clock.Pass(board.Clock.Hertz / 1000);
        Assert.Equal(0x30, board.Apics[0].Acknowledge());
        board.Store(0xFEE0_00B0, 0);
        Assert.False(board.Cores[0].Intr);
    }

    [Fact]
    public void Test_guests_coalesce_and_repeat_level_interrupts_on_line_14()
    {
        var board = new ChipsetBoard();
        board.Route(14, 0x8098);
        board.Out(0x200E, 1);
        Assert.Equal(0x98, board.Apics[0].Acknowledge());
        board.Out(0x200E, 0);
        board.Out(0x200E, 1);
        board.Out(0x200E, 0);
        board.Store(0xFEE0_00B0, 0);
        Assert.False(board.Cores[0].Intr);
        board.Out(0x200E, 1);
        Assert.Equal(0x98, board.Apics[0].Acknowledge());
        board.Store(0xFEE0_00B0, 0);
        Assert.Equal(0x98, board.Apics[0].Acknowledge());
    }

    [Fact]
    public void The_whole_board_continues_from_a_snapshot_as_it_was()
    {
        var random = new Random(7);
        var original = new ChipsetBoard(2);
        Scribble(original, random, 400);
        var saved = original.Parts.ToDictionary(static p => p.SectionName, SnapshotContract.Save);

        var copy = new ChipsetBoard(2);
        Scribble(copy, new Random(8), 200);
        copy.Clock.SwitchTo(original.Clock.Now);
        foreach (var part in copy.Parts)
        {
            SnapshotContract.Load(part, saved[part.SectionName]);
        }

        var seed = random.Next();
        Assert.Equal(Scribble(original, new Random(seed), 400), Scribble(copy, new Random(seed), 400));
        foreach (var (one, two) in original.Parts.Zip(copy.Parts))
        {
            Assert.Equal(SnapshotContract.Save(one), SnapshotContract.Save(two));
        }
    }

    [Fact]
    public void No_guest_access_throws_or_hangs()
    {
        for (var seed = 0; seed < 60; seed++)
        {
            Scribble(new ChipsetBoard(3), new Random(seed), 400);
        }
    }

    [Fact]
    public void A_damaged_snapshot_is_refused_or_harmless()
    {
        var random = new Random(3);
        for (var round = 0; round < 60; round++)
        {
            var board = new ChipsetBoard();
            foreach (var part in board.Parts)
            {
                var data = SnapshotContract.Save(part);
                for (var i = 0; i < 4; i++)
                {
                    data[random.Next(data.Length)] = (byte)random.Next(256);
                }

                Assert.Null(Record.Exception(() => LoadOrRefuse(part, data)));
            }

            Scribble(board, random, 100);
        }
    }

    static void LoadOrRefuse(ISnapshotPart part, byte[] data)
    {
        try
        {
            SnapshotContract.Load(part, data);
        }
        catch (SnapshotException)
        {
        }
    }

    /// <summary>Random accesses of every device with time passing between them; returns a digest of what the guest saw.</summary>
    static ulong Scribble(ChipsetBoard board, Random random, int accesses)
    {
        ulong digest = 0;
        var before = board.Cores.Sum(static c => c.Events.Count);
        var buffer = new byte[8];
        for (var i = 0; i < accesses; i++)
        {
            var width = 1 << random.Next(4);
            var data = buffer.AsSpan(0, width);
            random.NextBytes(data);
            var space = random.Next(3) != 0 ? board.Bus.Pio : board.Bus.Mmio;
            var address = space == board.Bus.Pio ? Ports[random.Next(Ports.Length)] : Pages[random.Next(Pages.Length)] + (ulong)random.Next(0x400);
            address &= random.Next(2) == 0 ? ~0ul : ~0xFul;
            if (random.Next(2) == 0)
            {
                space.Write(address, data);
            }
            else
            {
                space.Read(address, data);
            }

            Msr(board, random);
            foreach (var (core, apic) in board.Cores.Zip(board.Apics))
            {
                digest = digest * 31 + (core.Intr ? apic.Acknowledge() : 0u);
            }

            digest = digest * 31 + BitConverter.ToUInt64(buffer) + (uint)(board.Cores.Sum(static c => c.Events.Count) - before);
            board.Clock.Pass((ulong)random.Next(100_000));
            if (random.Next(50) == 0)
            {
                board.Clock.Charge(board.Clock.Hertz);
                board.Clock.RunDue();
            }
        }

        return digest;
    }

    static void Msr(ChipsetBoard board, Random random)
    {
        var apic = board.Apics[random.Next(board.Apics.Count)];
        var msr = Msrs[random.Next(Msrs.Length)];
        switch (random.Next(8))
        {
            case 0:
                apic.TryWriteMsr(msr, (ulong)random.NextInt64());
                break;
            case 1:
                apic.TryWriteMsr(msr, (ulong)random.Next(0x1000));
                break;
            case 2:
                apic.TryWriteMsr(0x1B, 0xFEE00000 | (ulong)random.Next(16) << 8);
                break;
            case 3:
                apic.TryReadMsr(msr, out _);
                break;
            default:
                break;
        }
    }
}
