using Vmm.Firmware.Acpi;
using Xunit;

namespace Vmm.Unit.Firmware.Acpi;

public sealed class AmlTests
{
    [Theory]
    [InlineData(0UL, new byte[] { 0 })]
    [InlineData(1UL, new byte[] { 1 })]
    [InlineData(0x12UL, new byte[] { 0x0A, 0x12 })]
    [InlineData(0x1234UL, new byte[] { 0x0B, 0x34, 0x12 })]
    [InlineData(0x12345678UL, new byte[] { 0x0C, 0x78, 0x56, 0x34, 0x12 })]
    [InlineData(0x123456789AUL, new byte[] { 0x0E, 0x9A, 0x78, 0x56, 0x34, 0x12, 0, 0, 0 })]
    public void Integers_take_their_shortest_form(ulong value, byte[] expected) => Assert.Equal(expected, Aml.Integer(value));

    [Fact]
    public void Eisa_ids_are_packed_letters_and_digits() => Assert.Equal([0x0C, 0x41, 0xD0, 0x0A, 0x08], Aml.EisaId("PNP0A08"));

    [Theory]
    [InlineData("_SB", "_SB_")]
    [InlineData("\\_SB", "\\_SB_")]
    [InlineData("\\_SB.PCI0", "\\._SB_PCI0")]
    [InlineData("A.B.C", "/\u0003A___B___C___")]
    [InlineData("\\", "\\\0")]
    public void Paths_are_segments_of_four(string path, string expected) => Assert.Equal(expected, string.Concat(Aml.Path(path).Select(value => (char)value)));

    [Theory]
    [InlineData(62, new byte[] { 63 })]
    [InlineData(63, new byte[] { 0x41, 0x04 })]
    [InlineData(0xFFD, new byte[] { 0x4F, 0xFF })]
    [InlineData(0xFFE, new byte[] { 0x81, 0x00, 0x01 })]
    public void Package_lengths_grow_with_what_they_count(int bodySize, byte[] expected)
    {
        // Scope (ABCD): four bytes of name, the rest filler.
        var scope = Aml.Scope("ABCD", new byte[bodySize - 4]);
        Assert.Equal(0x10, scope[0]);
        Assert.Equal(expected, scope[1..(1 + expected.Length)]);
        Assert.Equal((byte)'A', scope[1 + expected.Length]);
    }

    [Fact]
    public void A_package_of_more_than_255_elements_has_a_variable_count()
    {
        Assert.Equal([0x12, 5, 3, 0, 1, 0], Aml.Package(Aml.Integer(0), Aml.Integer(1), Aml.Integer(0)));
        var large = Aml.Package([.. Enumerable.Repeat(Aml.Integer(0), 256)]);
        Assert.Equal([0x13, 0x45, 0x10, 0x0B, 0x00, 0x01], large[..6]);
    }
}
