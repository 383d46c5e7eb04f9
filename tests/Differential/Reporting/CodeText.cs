using Iced.Intel;
using Vmm.Differential.Generation;

namespace Vmm.Differential.Reporting;

/// <summary>Instructions as bytes and as assembly.</summary>
internal static unsafe class CodeText
{
    public static string Of(Sequence sequence, int first, int end, byte* slot)
    {
        var bytes = new ReadOnlySpan<byte>(slot + sequence.Starts[first], sequence.Starts[end] - sequence.Starts[first]).ToArray();
        var decoder = Decoder.Create(64, new ByteArrayCodeReader(bytes), sequence.Rip + (ulong)sequence.Starts[first]);
        var formatter = new IntelFormatter();
        var output = new StringOutput();
        while (decoder.IP < sequence.Rip + (ulong)sequence.Starts[end])
        {
            formatter.Format(decoder.Decode(), output);
            output.Write("; ", FormatterTextKind.Text);
        }

        return $"{Convert.ToHexStringLower(bytes)} | {output.ToStringAndReset().TrimEnd(' ', ';')}";
    }
}
