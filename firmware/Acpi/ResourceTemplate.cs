namespace Vmm.Firmware.Acpi;

/// <summary>Builds a resource descriptor list (ACPI 6.4 §6.4).</summary>
internal sealed class ResourceTemplate
{
    const byte IoTag = 0x47, EndTag = 0x79, Memory32FixedTag = 0x86, DwordTag = 0x87, WordTag = 0x88, ExtendedInterruptTag = 0x89, QwordTag = 0x8A;
    const byte MemoryType = 0, IoType = 1, BusType = 2;
    const byte ProducerFixed = 0x0C, ReadWrite = 0x01, EntireRange = 0x03, Consumer = 0x01, EdgeTriggered = 0x02;

    readonly TableWriter writer = new();

    /// <summary>Fixed I/O ports, decoded with 16 bits.</summary>
    public ResourceTemplate Io(ushort start, byte length)
    {
        writer.U8(IoTag).U8(1).U16(start).U16(start).U8(1).U8(length);
        return this;
    }

    /// <summary>An interrupt of its own: edge triggered, active high.</summary>
    public ResourceTemplate Interrupt(uint gsi)
    {
        writer.U8(ExtendedInterruptTag).U16(6).U8(Consumer | EdgeTriggered).U8(1).U32(gsi);
        return this;
    }

    /// <summary>A fixed range below 4 GiB.</summary>
    public ResourceTemplate Memory32Fixed(uint start, uint length)
    {
        writer.U8(Memory32FixedTag).U16(9).U8(1).U32(start).U32(length);
        return this;
    }

    /// <summary>Bus numbers that a bridge produces.</summary>
    public ResourceTemplate Buses(byte first, byte last) => Word(BusType, 0, first, last);

    /// <summary>I/O ports that a bridge produces.</summary>
    public ResourceTemplate Ports(ushort first, ushort last) => Word(IoType, EntireRange, first, last);

    /// <summary>Addresses that a bridge produces: a 32-bit descriptor if they fit, else a 64-bit one. Not cacheable.</summary>
    public ResourceTemplate Window(AcpiWindow window)
    {
        var last = window.Start + window.Length - 1;
        if (last <= uint.MaxValue)
        {
            writer.U8(DwordTag).U16(23).U8(MemoryType).U8(ProducerFixed).U8(ReadWrite)
                .U32(0).U32((uint)window.Start).U32((uint)last).U32(0).U32((uint)window.Length);
        }
        else
        {
            writer.U8(QwordTag).U16(43).U8(MemoryType).U8(ProducerFixed).U8(ReadWrite)
                .U64(0).U64(window.Start).U64(last).U64(0).U64(window.Length);
        }

        return this;
    }

    /// <summary>The list with its end tag, as an AML buffer.</summary>
    public byte[] ToAml()
    {
        writer.U8(EndTag).U8(0);
        return Aml.Buffer(writer.ToBytes());
    }

    ResourceTemplate Word(byte type, byte flags, ushort first, ushort last)
    {
        writer.U8(WordTag).U16(13).U8(type).U8(ProducerFixed).U8(flags).U16(0).U16(first).U16(last).U16(0).U16(last - first + 1);
        return this;
    }
}
