using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Dma;

/// <summary>What a remapping unit is asked for: routines that are called through a table, because the guest learns only at run time which unit there is.</summary>
internal enum UnitCall
{
    /// <summary>Maps contiguous memory; the device may use it after <see cref="Show"/>: I/O address, physical address plus rights, bytes. RAX is 1 when done.</summary>
    Map,

    /// <summary>Makes new mappings of a range visible to the unit: I/O address, bytes. RAX is 1 when all of them are made.</summary>
    Show,

    /// <summary>Unmaps; when it returns the device cannot reach the pages any more: I/O address, bytes. RAX is 1 when done.</summary>
    Unmap,

    /// <summary>Unmaps; until <see cref="Flush"/> the device may still reach the pages: I/O address, bytes. RAX is 1 when done.</summary>
    UnmapLater,

    /// <summary>Ends what is left of all mappings unmapped later. RAX is 1 when done.</summary>
    Flush,

    /// <summary>Waits shortly for a fault and takes it. RAX is 1 if there is one.</summary>
    TakeFault,

    /// <summary>Switches the unit off: devices reach physical addresses.</summary>
    Stop,
}

/// <summary>One kind of remapping unit, for one device: the NVMe controller.</summary>
internal abstract class DmaUnit
{
    /// <summary>Rights in the low bits of what is mapped.</summary>
    public const uint MayRead = 1, MayWrite = 2;

    /// <summary>Reserves the routines.</summary>
    protected DmaUnit(Guest guest)
    {
        G = guest;
        Routines = [.. Enum.GetValues<UnitCall>().Select(_ => guest.NewRoutine())];
        Table = guest.Data.Pointer(Routines[0]);
        foreach (var routine in Routines.Skip(1))
        {
            guest.Data.Pointer(routine);
        }
    }

    /// <summary>The guest.</summary>
    protected Guest G { get; }

    /// <summary>Pointers to the routines, in the order of <see cref="UnitCall"/>.</summary>
    public Variable Table { get; }

    /// <summary>The routines.</summary>
    protected Routine[] Routines { get; }

    /// <summary>Emits code that looks for the unit; RAX is 0 without one.</summary>
    public abstract void Find();

    /// <summary>Emits code, in a test, that starts the unit and puts the controller behind it, with nothing mapped.</summary>
    public abstract void Start();

    /// <summary>Emits code that prints what the unit is.</summary>
    public abstract void Describe();

    /// <summary>Emits code, in a test, that checks the fault taken last: the controller may not write at an I/O address. RBX is lost.</summary>
    /// <param name="what">Starts the names of the checks.</param>
    /// <param name="address">The I/O address.</param>
    /// <param name="isMapped">The page is mapped, but not for that.</param>
    public abstract void CheckFault(string what, Operand address, bool isMapped);

    /// <summary>Emits the routines.</summary>
    public abstract void Emit();

    /// <summary>Emits a check without which the unit cannot be used: the test ends where it fails. The value survives in RBX.</summary>
    protected void Require(Operand actual, Operand expected, string what)
    {
        G.Load(rbx, actual);
        G.Checks.Equal(rbx, expected, what);
        G.Load(rcx, expected);
        G.A.cmp(rbx, rcx);
        G.If(When.NotEqual, G.Checks.Leave);
    }
}
