using System.Buffers.Binary;
using System.Text;
using Vmm.Platform.Bus;
using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>
/// QEMU's firmware configuration device, port interface without DMA: 16-bit selector at 0x510, data bytes at 0x511
/// (qemu docs/specs/fw_cfg.rst). Reading past an item, or an item that does not exist, gives zero.
/// </summary>
public sealed class FwCfg : IBusTarget, ISnapshotPart
{
    const ushort Signature = 0, Id = 1, RamSize = 3, ProcessorCount = 5, MaxProcessors = 0x0F, FileDirectory = 0x19, FileFirst = 0x20;
    const ushort WriteChannel = 0x4000;
    const int NameSize = 56, EntrySize = 8 + NameSize;

    readonly SortedDictionary<ushort, byte[]> items = [];
    readonly List<string> names = [];
    ushort selector;
    uint position;
    byte[] selected = [];

    /// <param name="memoryBytes">RAM in bytes.</param>
    /// <param name="processors">Number of processors.</param>
    public FwCfg(ulong memoryBytes, int processors)
    {
        items[Signature] = "QEMU"u8.ToArray();
        items[Id] = BitConverter.GetBytes(1u);
        items[RamSize] = BitConverter.GetBytes(memoryBytes);
        items[ProcessorCount] = BitConverter.GetBytes((ushort)processors);
        items[MaxProcessors] = BitConverter.GetBytes((ushort)processors);
        RebuildDirectory();
        Select(0);
    }

    /// <inheritdoc/>
    public string SectionName => "fw-cfg";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <summary>Adds a file; called while the machine is built. Keys are given in the order of the calls.</summary>
    /// <exception cref="ArgumentException">The name does not fit 55 ASCII bytes or is taken.</exception>
    public void AddFile(string name, byte[] content)
    {
        if (name.Length is 0 or >= NameSize || !Ascii.IsValid(name) || names.Contains(name))
        {
            throw new ArgumentException($"fw_cfg: file name '{name}' is empty, taken or longer than {NameSize - 1} ASCII bytes", nameof(name));
        }

        items[(ushort)(FileFirst + names.Count)] = content;
        names.Add(name);
        RebuildDirectory();
    }

    /// <summary>Back to the signature item.</summary>
    public void Reset() => Select(0);

    /// <inheritdoc/>
    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (data.Length != 1)
        {
            return IoResult.Unclaimed;
        }

        data[0] = position < (uint)selected.Length ? selected[position++] : (byte)0;
        return IoResult.Ok;
    }

    /// <inheritdoc/>
    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset != 0 || data.Length != 2)
        {
            return IoResult.Unclaimed;
        }

        Select((ushort)AccessBytes.Load(data));
        return IoResult.Ok;
    }

    void Select(ushort key)
    {
        selector = (ushort)(key & ~WriteChannel);
        position = 0;
        selected = items.TryGetValue(selector, out var item) ? item : [];
    }

    void RebuildDirectory()
    {
        var directory = new byte[4 + names.Count * EntrySize];
        BinaryPrimitives.WriteUInt32BigEndian(directory, (uint)names.Count);
        for (var i = 0; i < names.Count; i++)
        {
            var key = (ushort)(FileFirst + i);
            var entry = directory.AsSpan(4 + i * EntrySize, EntrySize);
            BinaryPrimitives.WriteUInt32BigEndian(entry, (uint)items[key].Length);
            BinaryPrimitives.WriteUInt16BigEndian(entry[4..], key);
            Encoding.ASCII.GetBytes(names[i], entry[8..]);
        }

        items[FileDirectory] = directory;
    }

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U16(selector);
        writer.U32(position);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        Select(reader.U16());
        position = reader.U32();
    }
}
