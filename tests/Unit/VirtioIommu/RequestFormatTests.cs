using System.Buffers.Binary;
using Vmm.Specs.Virtio;
using Vmm.VirtioIommu;
using Xunit;
using static Vmm.Unit.VirtioIommu.ViommuBench;
using S = Vmm.Specs.Virtio.VirtioIommuStatus;

namespace Vmm.Unit.VirtioIommu;

/// <summary>Requests that cannot be parsed, and PROBE (virtio 1.2 §5.13.6, §5.13.6.7).</summary>
public sealed class RequestFormatTests
{
    readonly ViommuBench bench = new();

    [Theory]
    [InlineData(0)]
    [InlineData(6)]
    [InlineData(255)]
    public void An_unknown_type_is_returned_unwritten(byte type)
    {
        var request = AttachBytes(1, Disk.Value);
        request[0] = type;
        Assert.Null(bench.Send(request));
        Assert.Equal(1ul, bench.Requests.Unparsed);
    }

    [Fact]
    public void A_request_too_short_for_its_type_is_returned_unwritten()
    {
        bench.Attach(1, Disk);
        foreach (var whole in (byte[][])[AttachBytes(2, Nic.Value), DetachBytes(1, Disk.Value), MapBytes(1, 0, 0xFFF, 0, 3), UnmapBytes(1, 0, 0xFFF), ProbeBytes(Disk.Value)])
        {
            for (var length = 0; length < whole.Length; length++)
            {
                Assert.Null(bench.Send(whole[..length]));
            }

            Assert.NotNull(bench.Send(whole));
        }
    }

    [Fact]
    public void A_request_without_room_for_the_tail_is_returned_unwritten_and_not_carried_out()
    {
        for (var room = 0; room < 4; room++)
        {
            var reply = new byte[room];
            Assert.Equal(0, bench.Requests.Process(AttachBytes(1, Disk.Value), reply));
        }

        Assert.Empty(bench.Domains.Domains);
    }

    [Fact]
    public void The_tail_comes_first_in_the_writable_part_and_is_all_that_is_written()
    {
        byte[] reply = [9, 9, 9, 9, 9, 9, 9, 9];
        Assert.Equal(4, bench.Requests.Process(AttachBytes(1, 0x99), reply));
        Assert.Equal([(byte)S.NoEnt, 0, 0, 0, 9, 9, 9, 9], reply);
    }

    [Fact]
    public void Probe_lists_the_reserved_regions_and_fills_up_with_zeroes()
    {
        var two = new ViommuBench(new() { ProbeSize = 64, Reserved = [new(0xA0000, 0xBFFFF, VirtioIommuReservedKind.Reserved), ReservedRegion.X86Msi] });
        var request = ProbeBytes(Disk.Value);
        request.AsSpan(8).Fill(0xFF);
        var reply = Enumerable.Repeat((byte)0xEE, 68).ToArray();
        Assert.Equal(68, two.Requests.Process(request, reply));
        AssertRegion(reply.AsSpan(0, 24), 0, 0xA0000, 0xBFFFF);
        AssertRegion(reply.AsSpan(24, 24), 1, 0xFEE0_0000, 0xFEEF_FFFF);
        Assert.All(reply[48..], b => Assert.Equal(0, b));
    }

    static void AssertRegion(ReadOnlySpan<byte> property, byte kind, ulong start, ulong end)
    {
        Assert.Equal([1, 0, 20, 0, kind, 0, 0, 0], property[..8].ToArray());
        Assert.Equal(start, BinaryPrimitives.ReadUInt64LittleEndian(property[8..]));
        Assert.Equal(end, BinaryPrimitives.ReadUInt64LittleEndian(property[16..]));
    }

    [Fact]
    public void Probe_of_an_unknown_endpoint_is_NOENT()
    {
        var reply = new byte[516];
        Assert.Equal(516, bench.Requests.Process(ProbeBytes(0x19), reply));
        Assert.Equal((byte)S.NoEnt, reply[512]);
        Assert.All(reply[..512], b => Assert.Equal(0, b));
    }

    [Fact]
    public void Probe_with_too_little_room_is_INVAL_and_gives_no_property()
    {
        var reply = Enumerable.Repeat((byte)0xEE, 512).ToArray();
        Assert.Equal(512, bench.Requests.Process(ProbeBytes(Disk.Value), reply));
        Assert.Equal((byte)S.Inval, reply[508]);
        Assert.All(reply[..508], b => Assert.Equal(0, b));
        Assert.Equal(S.Inval, bench.Send(ProbeBytes(Disk.Value)));
    }

    [Fact]
    public void Probe_that_was_not_offered_or_accepted_is_returned_unwritten()
    {
        var without = new ViommuBench(new() { OffersProbe = false });
        Assert.Equal(0, without.Requests.Process(ProbeBytes(Disk.Value), new byte[516]));
        var refused = new ViommuBench(negotiated: VirtioIommuFeatures.MapUnmap);
        Assert.Equal(0, refused.Requests.Process(ProbeBytes(Disk.Value), new byte[516]));
    }

    [Fact]
    public void Random_bytes_are_answered_within_their_room_and_keep_the_tables_sound()
    {
        var random = new Random(6);
        var request = new byte[80];
        var reply = new byte[600];
        for (var i = 0; i < 200_000; i++)
        {
            random.NextBytes(request);
            request[0] = (byte)random.Next(7);
            if (random.Next(4) != 0)
            {
                // Small numbers reach deeper.
                for (var at = 5; at < request.Length; at++)
                {
                    request[at] = (byte)(request[at] < 200 ? 0 : request[at] & 0x1F);
                }
            }

            var room = random.Next(reply.Length);
            Assert.InRange(bench.Requests.Process(request.AsSpan(0, random.Next(request.Length)), reply.AsSpan(0, room)), 0, room);
        }

        Assert.InRange(bench.Domains.Domains.Count(), 0, 3);
        Assert.Equal(bench.Domains.Domains.Sum(d => d.Mappings), bench.Domains.Pool.Count);
    }
}
