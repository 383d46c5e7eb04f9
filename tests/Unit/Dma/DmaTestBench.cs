using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;

namespace Vmm.Unit.Dma;

/// <summary>Keeps what is delivered.</summary>
sealed class RecordingSink : IInterruptSink
{
    public List<MsiMessage> Messages { get; } = [];

    public void Deliver(MsiMessage message) => Messages.Add(message);
}

/// <summary>Maps pages by a table and counts its calls.</summary>
sealed class TableTranslator : IDmaTranslator
{
    public Dictionary<ulong, (ulong Page, bool Readable, bool Writable)> Pages { get; } = [];

    public List<DmaRequest> Requests { get; } = [];

    public bool BlocksInterrupts { get; set; }

    public string Name => "table";

    public uint Generation { get; set; }

    public bool TryTranslate(in DmaRequest request, out DmaWindow window)
    {
        Requests.Add(request);
        window = default;
        if (!Pages.TryGetValue(request.Address.Value >> 12, out var page) ||
            (request.Access == DmaAccess.Read ? !page.Readable : !page.Writable))
        {
            return false;
        }

        var offset = (ulong)request.Address.PageOffset;
        window = new(new(page.Page << 12 | offset), 4096 - offset, page.Readable, page.Writable);
        return true;
    }

    public InjectedFault InjectFault(in DmaRequest request, uint reason, uint level) => new(true, null);

    public InjectedFault InjectRemapFault(Bdf requester, MsiMessage message, uint reason) => new(true, null);

    public bool TryRemap(Bdf requester, MsiMessage message, out MsiMessage remapped)
    {
        remapped = message with { Data = message.Data + 0x100 };
        return !BlocksInterrupts;
    }
}

/// <summary>An MMIO window that keeps writes, and may answer each with a DMA of its own.</summary>
sealed class RecordingTarget : IBusTarget
{
    public List<(ulong Offset, byte[] Data)> Writes { get; } = [];

    public Action<ulong>? OnWrite { get; set; }

    public int Reads { get; private set; }

    public IoResult Read(ulong offset, Span<byte> data)
    {
        Reads++;
        data.Clear();
        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        Writes.Add((offset, data.ToArray()));
        OnWrite?.Invoke(offset);
        return IoResult.Ok;
    }
}

sealed class DmaTestBench : IDisposable
{
    public DmaTestBench()
    {
        Fabric = new(Memory, Bus.Mmio, Sink);
        Port = new(Fabric, new(0, 4, 0));
    }

    public GuestMemory Memory { get; } = new(1 << 20);

    public SystemBus Bus { get; } = new();

    public RecordingSink Sink { get; } = new();

    public DmaFabric Fabric { get; }

    public DmaPort Port { get; }

    public TableTranslator Translate()
    {
        var translator = new TableTranslator();
        Port.Translator = translator;
        return translator;
    }

    public void Dispose() => Memory.Dispose();
}
