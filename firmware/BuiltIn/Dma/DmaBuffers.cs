using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Dma;

/// <summary>Mappings of buffers for the controller: through the unit that was found or, without one, by physical address.</summary>
internal sealed class DmaBuffers
{
    /// <summary>I/O addresses of buffers. They are handed out in turn, so that an address is not used anew before 64 MiB of others were.</summary>
    public const uint WindowStart = 0x4000_0000, WindowEnd = 0x4400_0000;

    readonly Guest g;
    readonly DmaUnit[] units;
    readonly Variable calls, next;

    /// <summary>Reserves the variables.</summary>
    public DmaBuffers(Guest guest)
    {
        g = guest;
        units = [new VtdDmaUnit(g), new ViommuDmaUnit(g)];
        (Unit, Works, next) = (g.Data.U64(), g.Data.U64(), g.Data.Initial(WindowStart));
        calls = g.Data.Zeroed((uint)Enum.GetValues<UnitCall>().Length * 8, 8);
        (Map, Unmap, UnmapLater) = (g.NewRoutine(), g.NewRoutine(), g.NewRoutine());
    }

    /// <summary>Address of the table of the unit in use, or 0.</summary>
    public Variable Unit { get; }

    /// <summary>Not 0: buffers can be mapped.</summary>
    public Variable Works { get; }

    /// <summary>
    /// Maps a buffer: physical address plus rights, bytes, a power of two of pages, and 0 for contiguous memory or else, with a
    /// unit, the distance of its pages. RAX is the address that the controller is to use, or 0.
    /// </summary>
    public Routine Map { get; }

    /// <summary>Unmaps: address, bytes. RAX is 0 when that failed.</summary>
    public Routine Unmap { get; }

    /// <summary>Unmaps, but the unit learns of it later.</summary>
    public Routine UnmapLater { get; }

    /// <summary>Emits the test that finds a unit and starts it.</summary>
    public void EmitStart() => g.Checks.Test("iommu", Describe, () =>
    {
        var a = g.A;
        var found = a.CreateLabel();
        foreach (var unit in units)
        {
            var other = a.CreateLabel();
            unit.Find();
            a.test(rax, rax);
            a.je(other);
            a.mov(Unit, (int)unit.Table.Address);
            a.mov(esi, unit.Table.Address);
            a.mov(edi, calls.Address);
            a.mov(ecx, Enum.GetValues<UnitCall>().Length);
            a.rep.movsq();
            unit.Start();
            a.mov(Works, 1);
            a.jmp(found);
            g.Place(other);
        }

        a.mov(Works, 1);
        g.Place(found);
    });

    void Describe()
    {
        WithoutUnit(() => g.Print($"none: the controller uses physical addresses and reaches all memory"));
        ForUnit(static u => u.Describe());
    }

    /// <summary>Emits code for the unit in use.</summary>
    public void ForUnit(Action<DmaUnit> emit)
    {
        foreach (var unit in units)
        {
            g.A.cmp(Unit, (int)unit.Table.Address);
            g.If(When.Equal, () => emit(unit));
        }
    }

    /// <summary>Emits code that runs when there is no unit.</summary>
    public void WithoutUnit(Action then)
    {
        g.A.cmp(Unit, 0);
        g.If(When.Equal, then);
    }

    /// <summary>Emits a call of the unit, which must be there.</summary>
    public void Call(UnitCall what, params ReadOnlySpan<Operand> arguments) => g.CallThrough(calls[(int)what], arguments);

    /// <summary>Emits a call of the unit if there is one; else RAX becomes 1.</summary>
    public void CallIfPresent(UnitCall what)
    {
        g.A.mov(eax, 1);
        g.A.cmp(Unit, 0);
        g.If(When.NotEqual, () => Call(what));
    }

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        foreach (var unit in units)
        {
            unit.Emit();
        }

        g.Define(Map, [rbx, r12, r13, r14, r15], EmitMap);
        foreach (var (routine, what) in ((Routine, UnitCall)[])[(Unmap, UnitCall.Unmap), (UnmapLater, UnitCall.UnmapLater)])
        {
            g.Define(routine, () =>
            {
                WithoutUnit(() =>
                {
                    g.A.mov(eax, 1);
                    g.Return();
                });
                Call(what);
            });
        }
    }

    /// <summary>RBX: I/O address, R12: bytes, R13: distance of pages or 0, R14: first physical address plus rights. Leaves with RAX = 0 when a piece is refused.</summary>
    void MapPieces()
    {
        var a = g.A;
        var size = a.CreateLabel();
        a.xor(r15d, r15d);
        g.Forever(end =>
        {
            a.lea(rdi, __[rbx + r15]);
            a.mov(rsi, r14);
            a.mov(rdx, r12);
            a.test(r13, r13);
            a.je(size);
            a.mov(edx, Layout.PageSize);
            g.Place(size);
            a.add(r15, rdx);
            g.CallThrough(calls[(int)UnitCall.Map]);
            a.test(rax, rax);
            g.If(When.Equal, g.Return);
            a.add(r14, r13);
            a.cmp(r15, r12);
            a.jae(end);
        });
    }

    /// <summary>An address is a multiple of the length, so that one aligned mask covers the buffer.</summary>
    void EmitMap()
    {
        var a = g.A;
        WithoutUnit(() =>
        {
            a.mov(rax, rdi);
            a.and(rax, -(int)Layout.PageSize);
            g.Return();
        });
        a.mov(rbx, next);
        a.lea(rbx, __[rbx + rsi - 1]);
        a.mov(rax, rsi);
        a.neg(rax);
        a.and(rbx, rax);
        a.lea(rax, __[rbx + rsi]);
        a.cmp(rax, (int)WindowEnd);
        g.If(When.Above, () =>
        {
            a.mov(ebx, WindowStart);
            a.lea(rax, __[rbx + rsi]);
        });
        a.mov(next, rax);
        a.mov(r14, rdi);
        a.mov(r12, rsi);
        a.mov(r13, rdx);
        MapPieces();
        Call(UnitCall.Show, rbx, r12);
        a.test(rax, rax);
        g.If(When.NotEqual, () => a.mov(rax, rbx));
    }
}
