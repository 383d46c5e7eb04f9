using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>What drivers count.</summary>
internal enum Tallied
{
    /// <summary>Accesses to device registers: each is an exit under a hypervisor.</summary>
    Access,

    /// <summary>Invalidation descriptors other than waits, or requests to a virtio-iommu.</summary>
    Command,

    /// <summary>Wait descriptors, or notifications of a virtio-iommu: times that the driver waited for commands.</summary>
    Wait,
}

/// <summary>What the code that counts is busy with.</summary>
internal enum Section
{
    /// <summary>Anything else.</summary>
    Other,

    /// <summary>Mapping.</summary>
    Map,

    /// <summary>A transfer.</summary>
    Transfer,

    /// <summary>Unmapping.</summary>
    Unmap,
}

/// <summary>
/// Counts what drivers do, by section. The guest announces a section by a write to the POST code port, so that what a
/// machine counts by itself can be told apart at the same places.
/// </summary>
internal sealed class Tally
{
    /// <summary>The POST code port.</summary>
    public const ushort Port = 0x80;

    const int Kinds = 4, Sections = 4;

    readonly Guest g;
    readonly Variable counts, row;

    /// <summary>Reserves the counters.</summary>
    public Tally(Guest guest)
    {
        g = guest;
        (counts, row, Clear) = (g.Data.Zeroed(Kinds * Sections * 8, 8), g.Data.U64(), g.NewRoutine());
    }

    /// <summary>Sets all counters to zero.</summary>
    public Routine Clear { get; }

    /// <summary>A counter.</summary>
    public Variable this[Section section, Tallied what] => counts[(int)section * Kinds + (int)what];

    /// <summary>Emits code that counts. Registers survive, the flags do not.</summary>
    public void Count(Tallied what, int times = 1)
    {
        var a = g.A;
        a.push(rax);
        a.mov(rax, row);
        a.add(__qword_ptr[rax + (counts.Address + (uint)what * 8)], times);
        a.pop(rax);
    }

    /// <summary>Emits code that says what follows; RAX and RDX are lost.</summary>
    public void Enter(Section section)
    {
        g.A.mov(row, (int)section * Kinds * 8);
        g.Out8(Port, (byte)section);
    }

    /// <summary>Emits the routine.</summary>
    public void Emit() => g.Define(Clear, () =>
    {
        g.A.mov(edi, counts.Address);
        g.A.xor(eax, eax);
        g.A.mov(ecx, Kinds * Sections);
        g.A.rep.stosq();
    });
}
