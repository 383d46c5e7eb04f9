using System.Buffers.Binary;
using Vmm.Platform.Registers;
using Vmm.Platform.Snapshots;
using Xunit;

namespace Vmm.Unit.Registers;

public class RegisterFileTests
{
    static RegisterFile Sample() => new(
        0x40,
        new RegisterDefinition("VER", 0x00, 4, Reset: 0x10),
        new RegisterDefinition("CTL", 0x04, 4, Write: 0x00FF_FF0F, WriteOnly: 0xF, Reset: 0x8000_0000),
        new RegisterDefinition("STS", 0x08, 4, ClearOnOne: 0xFF, Reset: 0),
        new RegisterDefinition("PTR", 0x10, 8, Write: 0xFFFF_FFFF_FFFF_F000),
        new RegisterDefinition("REC", 0x20, 16, ClearOnOne: (UInt128)1 << 127),
        new RegisterDefinition("B", 0x31, 1, Write: 0xFF));

    static int[] Write(RegisterFile file, ulong offset, ulong value, int width)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        var touched = new List<int>();
        foreach (var register in file.Write(offset, bytes[..width]))
        {
            touched.Add(register);
        }

        return [.. touched];
    }

    static ulong Read(RegisterFile file, ulong offset, int width)
    {
        Span<byte> bytes = stackalloc byte[8];
        Assert.True(file.Read(offset, bytes[..width]));
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    [Fact]
    public void Only_bits_of_the_write_mask_change()
    {
        var file = Sample();
        Assert.Equal([0x04], Write(file, 4, 0x7FFF_FFFF, 4));
        Assert.Equal(0x80FF_FF0Fu, file.Get32(4));
        Assert.Equal([0x00], Write(file, 0, 0xFFFF_FFFF, 4));
        Assert.Equal(0x10u, file.Get32(0));
    }

    [Fact]
    public void Write_only_bits_are_stored_and_read_zero()
    {
        var file = Sample();
        Write(file, 4, 0xF, 1);
        Assert.Equal(0xFu, file.Get32(4) & 0xF);
        Assert.Equal(0x8000_0000ul, Read(file, 4, 4));
    }

    [Fact]
    public void Writing_one_clears_and_writing_zero_keeps()
    {
        var file = Sample();
        file.Set32(8, 0xFFFF);
        Write(file, 8, 0x0F, 4);
        Assert.Equal(0xFFF0u, file.Get32(8));
        Write(file, 9, 0xFF, 1);
        Assert.Equal(0xFFF0u, file.Get32(8));
    }

    [Fact]
    public void A_partial_write_leaves_the_other_bytes()
    {
        var file = Sample();
        file.Set64(0x10, 0x1111_2222_3333_4000);
        Assert.Equal([0x10], Write(file, 0x15, 0xABCD, 2));
        Assert.Equal(0x11AB_CD22_3333_4000ul, file.Get64(0x10));
    }

    [Fact]
    public void A_straddling_write_applies_each_registers_masks_and_reports_both()
    {
        var file = Sample();
        file.Set32(8, 0xFF);
        Assert.Equal([0x04, 0x08], Write(file, 6, 0xFFFF_FF12, 4));
        Assert.Equal(0x8012_0000u, file.Get32(4));
        Assert.Equal(0x00u, file.Get32(8));
    }

    [Fact]
    public void Sixteen_byte_registers_are_reached_by_halves()
    {
        var file = Sample();
        file.Set128(0x20, ((UInt128)0x8000_0000_0000_1234 << 64) | 0x5678);
        Assert.Equal(0x5678ul, Read(file, 0x20, 8));
        Assert.Equal(0x8000_0000_0000_1234ul, Read(file, 0x28, 8));
        Assert.Equal([0x20], Write(file, 0x2C, 0x8000_0000, 4));
        Assert.Equal((UInt128)0x1234 << 64 | 0x5678, file.Get128(0x20));
    }

    [Fact]
    public void Bytes_without_a_register_read_zero_and_swallow_writes()
    {
        var file = Sample();
        Assert.Equal([0x31], Write(file, 0x30, 0xAABBCCDD, 4));
        Assert.Equal(0xCC00ul, Read(file, 0x30, 4));
    }

    [Theory]
    [InlineData(0x3Dul, 4)]
    [InlineData(0x40ul, 1)]
    [InlineData(ulong.MaxValue, 2)]
    [InlineData(0x10ul, 0)]
    public void An_access_past_the_end_is_refused(ulong offset, int width)
    {
        var file = Sample();
        Assert.False(file.Read(offset, new byte[width]));
        Assert.False(file.Write(offset, new byte[width]).IsInside);
        Assert.Empty(Write(file, offset, ulong.MaxValue, width));
    }

    [Fact]
    public void Every_width_at_every_offset_equals_bytewise_writes()
    {
        var random = new Random(7);
        for (var width = 1; width <= 8; width++)
        {
            for (var offset = 0; offset + width <= 0x40; offset++)
            {
                RegisterFile whole = Sample(), single = Sample();
                whole.Set32(8, 0xFF);
                single.Set32(8, 0xFF);
                var data = new byte[width];
                random.NextBytes(data);
                whole.Write((ulong)offset, data);
                for (var i = 0; i < width; i++)
                {
                    single.Write((ulong)(offset + i), data.AsSpan(i, 1));
                }

                Assert.Equal(single.Inspect(), whole.Inspect());
            }
        }
    }

    [Fact]
    public void Reset_restores_the_table()
    {
        var file = Sample();
        Write(file, 4, 0xFFFF_FFFF, 4);
        file.Set128(0x20, UInt128.MaxValue);
        file.Reset();
        Assert.Equal(Sample().Inspect(), file.Inspect());
    }

    [Fact]
    public void A_snapshot_brings_every_value_back()
    {
        var file = Sample();
        Write(file, 0x10, 0x1234_5678_9ABC_DEF0, 8);
        Write(file, 0x31, 0x55, 1);
        var writer = new SnapshotWriter();
        file.Save(writer);
        var other = Sample();
        other.Load(new SnapshotReader("x", 1, writer.Written.ToArray()));
        Assert.Equal(file.Inspect(), other.Inspect());
    }

    [Fact]
    public void Overlapping_definitions_are_refused()
    {
        var problem = Assert.Throws<ArgumentException>(() => new RegisterFile(
            16, new RegisterDefinition("A", 0, 8), new RegisterDefinition("B", 4, 4)));
        Assert.Contains("B overlaps A", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_changed_write_mask_takes_effect()
    {
        var file = Sample();
        file.SetWriteMask(0x31, 0x0F);
        Write(file, 0x31, 0xFF, 1);
        Assert.Equal(0x0F, file.Get8(0x31));
    }

    [Fact]
    public void Guest_accesses_allocate_nothing()
    {
        var file = Sample();
        var data = new byte[8];
        long sum = 0;
        for (var i = 0; i < 2; i++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            foreach (var register in file.Write(4, data))
            {
                sum += register;
            }

            file.Read(4, data);
            sum += i == 0 ? 0 : GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Assert.Equal(24, sum);
    }
}
