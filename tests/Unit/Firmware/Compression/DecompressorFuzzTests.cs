using Vmm.Firmware;
using Vmm.Firmware.Compression;
using Xunit;

namespace Vmm.Unit.Firmware.Compression;

public sealed class DecompressorFuzzTests
{
    const int Rounds = 250, Limit = 1 << 17;

    [Fact]
    public void Damaged_data_gives_bytes_or_one_typed_error()
    {
        var random = new Random(20240117);
        var refused = 0;
        foreach (var sample in Sample.All.Where(sample => sample.Source != Source.Letters))
        {
            var original = sample.Bytes;
            for (var round = 0; round < Rounds; round++)
            {
                var bytes = Mutation.Of(original, random);
                try
                {
                    Assert.InRange(Decompressor.Unpack(bytes, Limit).Length, 0, Limit);
                }
                catch (ImageException error)
                {
                    refused++;
                    Assert.InRange(error.Offset, 0, bytes.Length + 16);
                }
            }
        }

        Assert.InRange(refused, Rounds * 10, int.MaxValue);
    }
}
