using System.Text;
using Vmm.Firmware.Boot;
using Vmm.Platform.Memory;
using Xunit;

namespace Vmm.Unit.Firmware.Boot;

/// <summary>A plan carried out: what the guest finds.</summary>
internal sealed class GuestView : IDisposable
{
    readonly GuestMemory memory;

    public GuestView(BootRequest request)
    {
        Plan = BootLoader.Plan(request);
        memory = new(request.RamBytes);
        Plan.WriteTo(memory);
    }

    public BootPlan Plan { get; }

    public CpuEntryState Entry => Plan.Entry;

    public byte U8(ulong address) => Read<byte>(address);

    public ushort U16(ulong address) => Read<ushort>(address);

    public uint U32(ulong address) => Read<uint>(address);

    public ulong U64(ulong address) => Read<ulong>(address);

    public byte[] Bytes(ulong address, int length)
    {
        var bytes = new byte[length];
        Assert.True(memory.TryRead(new Gpa(address), bytes));
        return bytes;
    }

    public string Text(ulong address)
    {
        var text = new StringBuilder();
        for (; U8(address) != 0; address++)
        {
            text.Append((char)U8(address));
        }

        return text.ToString();
    }

    public void Dispose() => memory.Dispose();

    T Read<T>(ulong address)
        where T : unmanaged
    {
        Assert.True(memory.TryRead(new Gpa(address), out T value));
        return value;
    }
}
