namespace Vmm.Unit.Firmware;

/// <summary>Damages bytes at random, from a given seed, as a broken or hostile file might be.</summary>
internal static class Mutation
{
    static readonly byte[] Edges = [0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF];

    public static byte[] Of(byte[] original, Random random, int headerBytes = 64)
    {
        var bytes = (byte[])original.Clone();
        for (var count = random.Next(1, 5); count > 0; count--)
        {
            // Half the damage goes where the headers are.
            var at = random.Next(2) == 0 ? random.Next(Math.Min(headerBytes, bytes.Length)) : random.Next(bytes.Length);
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    bytes[at] = Edges[random.Next(Edges.Length)];
                    break;
                case 3:
                    bytes.AsSpan(at, Math.Min(random.Next(1, 9), bytes.Length - at)).Fill(Edges[random.Next(Edges.Length)]);
                    break;
                case 4 when bytes.Length > 8:
                    bytes = bytes[..random.Next(8, bytes.Length)];
                    break;
                default:
                    bytes = [.. bytes[..at], .. bytes[(at / 2)..]];
                    break;
            }
        }

        return bytes;
    }
}
