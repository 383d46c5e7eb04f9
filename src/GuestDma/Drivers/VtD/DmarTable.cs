using System.Buffers.Binary;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.Acpi;

namespace Vmm.GuestDma.Drivers.VtD;

/// <summary>A remapping unit as the DMAR table describes it.</summary>
/// <param name="Registers">Register base.</param>
/// <param name="Segment">PCI segment.</param>
/// <param name="IncludesAll">All functions of the segment that no other unit names are behind it.</param>
/// <param name="Devices">Functions of bus numbers and paths of length one that are named.</param>
public sealed record DmarUnit(ulong Registers, int Segment, bool IncludesAll, IReadOnlyList<Bdf> Devices);

/// <summary>Finds the DMAR table from the RSDP on, and reads its units (VT-d §8.1 to §8.3). Tables are firmware's; a length that leads outside is refused.</summary>
public static class DmarTable
{
    const int LargestTable = 1 << 20;

    /// <summary>Units of the table; empty when there is no table.</summary>
    /// <param name="view">The machine.</param>
    /// <param name="rsdp">Address of the RSDP.</param>
    /// <exception cref="InvalidOperationException">A table is damaged.</exception>
    public static IReadOnlyList<DmarUnit> Read(IGuestView view, Gpa rsdp)
    {
        var root = view.Memory(rsdp, AcpiTable.RsdpSize);
        var xsdt = Table(view, new(BinaryPrimitives.ReadUInt64LittleEndian(root[AcpiTable.RsdpXsdtAddress..])));
        for (var at = AcpiTable.HeaderSize; at + 8 <= xsdt.Length; at += 8)
        {
            var address = new Gpa(BinaryPrimitives.ReadUInt64LittleEndian(xsdt[at..]));
            if (view.Memory(address, 4).SequenceEqual("DMAR"u8))
            {
                return Units(Table(view, address));
            }
        }

        return [];
    }

    static Span<byte> Table(IGuestView view, Gpa address)
    {
        var length = BinaryPrimitives.ReadInt32LittleEndian(view.Memory(address, AcpiTable.HeaderSize)[AcpiTable.Length..]);
        if (length is < AcpiTable.HeaderSize or > LargestTable)
        {
            throw new InvalidOperationException($"acpi: the table at {address} has a length of {length}");
        }

        var table = view.Memory(address, length);
        byte sum = 0;
        foreach (var part in table)
        {
            sum += part;
        }

        return sum == 0 ? table : throw new InvalidOperationException($"acpi: the checksum of the table at {address} is wrong");
    }

    static List<DmarUnit> Units(ReadOnlySpan<byte> table)
    {
        var units = new List<DmarUnit>();
        for (var at = Dmar.Structures; at + 4 <= table.Length;)
        {
            int type = BinaryPrimitives.ReadUInt16LittleEndian(table[at..]), length = BinaryPrimitives.ReadUInt16LittleEndian(table[(at + 2)..]);
            if (length < 4 || at + length > table.Length)
            {
                throw new InvalidOperationException($"acpi: DMAR structure at {at} has a length of {length}");
            }

            if (type == Dmar.Drhd && length >= 16)
            {
                units.Add(Unit(table.Slice(at, length)));
            }

            at += length;
        }

        return units;
    }

    static DmarUnit Unit(ReadOnlySpan<byte> drhd)
    {
        var devices = new List<Bdf>();
        for (var at = 16; at + Dmar.ScopeHeaderSize + 2 <= drhd.Length;)
        {
            var length = drhd[at + 1];
            if (length < Dmar.ScopeHeaderSize + 2)
            {
                break;
            }

            if (drhd[at] == Dmar.ScopeEndpoint && length == Dmar.ScopeHeaderSize + 2)
            {
                devices.Add(new(drhd[at + 5], drhd[at + 6], drhd[at + 7]));
            }

            at += length;
        }

        return new(
            BinaryPrimitives.ReadUInt64LittleEndian(drhd[8..]), BinaryPrimitives.ReadUInt16LittleEndian(drhd[6..]), (drhd[4] & Dmar.IncludePciAll) != 0, devices);
    }
}
