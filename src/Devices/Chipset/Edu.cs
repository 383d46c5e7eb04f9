using System.Buffers.Binary;
using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Pci;
using Vmm.Platform.Time;

namespace Vmm.Chipset;

/// <summary>
/// The educational PCI device of QEMU, 1234:11e8 (QEMU docs/specs/edu): liveness check, factorial, interrupts and a small
/// DMA engine. Beyond QEMU's registers, 0xA0 (read-only) tells how the last transfer ended: see <see cref="EduDmaResult"/>.
/// </summary>
public sealed partial class Edu : IPciDevice, ITimerTarget
{
    /// <summary>Address of the device's buffer, as its DMA engine sees it.</summary>
    public const ulong BufferAddress = 0x40000;

    /// <summary>Length of the buffer in bytes.</summary>
    public const int BufferLength = 4096;

    const uint Computing = 0x01, InterruptAfterFactorial = 0x80;
    const uint FactorialInterrupt = 0x001, DmaInterrupt = 0x100;
    const ulong Run = 1, ToRam = 2, InterruptAfterDma = 4;

    readonly EduOptions options;
    readonly VirtualClock clock;
    readonly ClockTimer dmaTimer;
    readonly ClockTimer factorialTimer;
    readonly byte[] buffer = new byte[BufferLength];
    uint liveness;
    uint factorial;
    uint status;
    uint interrupts;
    ulong source;
    ulong destination;
    ulong count;
    ulong command;
    EduDmaResult result;

    /// <param name="name">Instance name ("edu0").</param>
    /// <param name="address">Where the device is plugged in.</param>
    /// <param name="fabric">The machine's DMA fabric.</param>
    /// <param name="clock">The machine's clock.</param>
    /// <param name="options">Settings.</param>
    public Edu(string name, Bdf address, DmaFabric fabric, VirtualClock clock, EduOptions? options = null)
    {
        this.options = options ?? new();
        this.clock = clock;
        Rogue = this.options.Rogue;
        Function = new(new(name, 0x1234, 0x11E8, 0x00_FF_00, Revision: 0x10), address, fabric, this);
        Function.AddMemoryBar(0, 1 << 20, is64: false);
        Function.AddMsi(1, maskable: false);
        Function.SetInterruptPin(1);
        dmaTimer = clock.CreateTimer(name + ".dma", this);
        factorialTimer = clock.CreateTimer(name + ".factorial", this);
    }

    /// <summary>The PCI function.</summary>
    public PciFunction Function { get; }

    /// <summary>True: DMA goes to all 64 bits of the address given, without the mask. May be switched at any time.</summary>
    public bool Rogue { get; set; }

    /// <summary>How the last transfer ended.</summary>
    public EduDmaResult LastResult => result;

    /// <inheritdoc/>
    public IoResult ReadBar(int bar, ulong offset, Span<byte> data)
    {
        if (!IsValidWidth(offset, data.Length) || !TryGet(offset, out var value))
        {
            return IoResult.Unclaimed;
        }

        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        bytes[..data.Length].CopyTo(data);
        return IoResult.Ok;
    }

    /// <inheritdoc/>
    public IoResult WriteBar(int bar, ulong offset, ReadOnlySpan<byte> data)
    {
        if (!IsValidWidth(offset, data.Length))
        {
            return IoResult.Unclaimed;
        }

        var value = data.Length == 8 ? BinaryPrimitives.ReadUInt64LittleEndian(data) : BinaryPrimitives.ReadUInt32LittleEndian(data);
        Set(offset, value);
        return IoResult.Ok;
    }

    /// <inheritdoc/>
    public void FunctionReset()
    {
        dmaTimer.Disarm();
        factorialTimer.Disarm();
        buffer.AsSpan().Clear();
        liveness = factorial = status = interrupts = 0;
        source = destination = count = command = 0;
        result = EduDmaResult.None;
    }

    /// <inheritdoc/>
    public void Expired(ClockTimer timer, ulong due)
    {
        if (timer == dmaTimer)
        {
            FinishDma();
        }
        else
        {
            FinishFactorial();
        }
    }

    /// <summary>4 bytes everywhere, 8 bytes from 0x80 on.</summary>
    static bool IsValidWidth(ulong offset, int width) => width == 4 || width == 8 && offset >= 0x80;

    bool TryGet(ulong offset, out ulong value)
    {
        ulong? found = offset switch
        {
            0x00 => 0x0100_00ED,
            0x04 => liveness,
            0x08 => factorial,
            0x20 => status,
            0x24 => interrupts,
            0x80 => source,
            0x88 => destination,
            0x90 => count,
            0x98 => command,
            0xA0 => (ulong)result,
            _ => null,
        };
        value = found ?? 0;
        return found != null;
    }

    void Set(ulong offset, ulong value)
    {
        switch (offset)
        {
            case 0x04:
                liveness = ~(uint)value;
                break;
            case 0x08 when (status & Computing) == 0:
                factorial = (uint)value;
                status |= Computing;
                factorialTimer.Arm(After(options.FactorialNanoseconds));
                break;
            case 0x20:
                status = status & ~InterruptAfterFactorial | (uint)value & InterruptAfterFactorial;
                break;
            case 0x60:
                RaiseInterrupt((uint)value);
                break;
            case 0x64:
                interrupts &= ~(uint)value;
                Function.SetIntx(interrupts != 0);
                break;
            default:
                SetDma(offset, value);
                break;
        }
    }

    /// <summary>The DMA registers are locked while a transfer runs.</summary>
    void SetDma(ulong offset, ulong value)
    {
        if ((command & Run) != 0)
        {
            return;
        }

        switch (offset)
        {
            case 0x80:
                source = value;
                break;
            case 0x88:
                destination = value;
                break;
            case 0x90:
                count = value;
                break;
            case 0x98 when (value & Run) != 0:
                command = value;
                dmaTimer.Arm(After(options.DmaNanoseconds));
                break;
        }
    }

    ulong After(ulong nanoseconds) => clock.Now + clock.ToCycles(nanoseconds, 1_000_000_000);

    void RaiseInterrupt(uint causes)
    {
        interrupts |= causes;
        if (interrupts != 0)
        {
            Function.Raise(0);
            Function.SetIntx(true);
        }
    }

    void FinishFactorial()
    {
        factorial = Factorial(factorial);
        status &= ~Computing;
        if ((status & InterruptAfterFactorial) != 0)
        {
            RaiseInterrupt(FactorialInterrupt);
        }
    }

    /// <summary>n! modulo 2^32, which is 0 from 34 on.</summary>
    static uint Factorial(uint n)
    {
        if (n >= 34)
        {
            return 0;
        }

        uint product = 1;
        for (; n > 1; n--)
        {
            product = unchecked(product * n);
        }

        return product;
    }

    void FinishDma()
    {
        result = Transfer();
        command &= ~Run;
        if ((command & InterruptAfterDma) != 0)
        {
            RaiseInterrupt(DmaInterrupt);
        }
    }

    EduDmaResult Transfer()
    {
        var toRam = (command & ToRam) != 0;
        var start = (toRam ? source : destination) - BufferAddress;
        if (start > BufferLength || count > BufferLength - start)
        {
            return EduDmaResult.OutOfBuffer;
        }

        var bytes = buffer.AsSpan((int)start, (int)count);
        var address = toRam ? destination : source;
        Iova target = new(Rogue ? address : address & options.DmaMask);
        return (toRam ? Function.Dma.TryWrite(target, bytes) : Function.Dma.TryRead(target, bytes))
            ? EduDmaResult.Done
            : EduDmaResult.Blocked;
    }
}

/// <summary>How a transfer of <see cref="Edu"/> ended.</summary>
public enum EduDmaResult
{
    /// <summary>There was none yet.</summary>
    None,

    /// <summary>All bytes moved.</summary>
    Done,

    /// <summary>The bus refused it: bus mastering off, IOMMU fault, or nothing at the address.</summary>
    Blocked,

    /// <summary>The device's end lay outside its buffer, so nothing moved.</summary>
    OutOfBuffer,
}
