using Vmm.Differential.Cases;

namespace Vmm.Differential.Generation;

internal sealed unsafe partial class StateBuilder
{
    /// <summary>
    /// Selectors whose descriptors are the same in both worlds: null, the six flat segments of a Linux GDT, an empty entry, one beyond the limit.
    /// The 32-bit user code segment (20h to 23h) comes last: entering it would leave 64-bit mode.
    /// </summary>
    static ReadOnlySpan<ushort> Selectors =>
        [0, 1, 3, 0x08, 0x0B, 0x10, 0x13, 0x18, 0x1B, 0x28, 0x2A, 0x2B, 0x30, 0x31, 0x33, 0x38, 0x3B, 0x100, 0xFFFB, 0x34, 0x20, 0x23];

    ushort AnySelector(bool compatibility) => Selectors[random.Below(Selectors.Length - (compatibility ? 0 : 2))];

    void ApplySelector(in Pin pin)
    {
        var selector = AnySelector(true);
        if (pin.Register < 0)
        {
            Put(operandPlace, selector, 2);
        }
        else
        {
            state->Gpr[pin.Register] = random.Next() & ~0xFFFFul | selector;
        }
    }

    void ApplyFarFrame(in Pin pin)
    {
        var place = pin.Variant ? stackPlace : operandPlace;
        var code = random.Percent(92) ? Sandbox.UserCode : AnySelector(false);
        Put(place, pin.Value, pin.Bytes);
        Put(place + pin.Bytes, code | (random.Percent(50) ? 0 : random.Next() << 16), pin.Variant ? pin.Bytes : 2);
        if (!pin.Aligned)
        {
            return;
        }

        var flags = random.Percent(92) ? AlwaysSet | random.Next() & (ArithmeticFlags | DirectionFlag) : random.Next();
        var stack = (pin.Bytes == 8 ? sandbox : Sandbox.Low) + (ulong)(Sandbox.Window + random.Between(320, 520));
        Put(place + 2 * pin.Bytes, flags, pin.Bytes);
        Put(place + 3 * pin.Bytes, stack, pin.Bytes);
        Put(place + 4 * pin.Bytes, random.Percent(92) ? Sandbox.UserData : AnySelector(false), pin.Bytes);
    }
}
