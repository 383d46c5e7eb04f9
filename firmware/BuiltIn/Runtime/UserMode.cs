using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>CPL 3: it sees the guest's code read-only at <see cref="Layout.UserAlias"/>, and a page of data and one of stack.</summary>
internal sealed class UserMode(Guest guest)
{
    readonly Guest g = guest;
    readonly Variable pages = guest.Data.Pages(2);

    /// <summary>The page of data, as CPL 0 sees it.</summary>
    public Variable Data => pages;

    /// <summary>Maps what CPL 3 sees.</summary>
    public Routine Map { get; } = guest.NewRoutine();

    /// <summary>
    /// Emits code that runs at CPL 3 with interrupts disabled. An exception ends it; without one INT3 does. RAX and RCX are
    /// lost on the way in, registers keep their values on the way out. Only jumps and registers work there: absolute
    /// addresses belong to CPL 0.
    /// </summary>
    public void Run(Action code) => g.Faults.Expect(() =>
    {
        var a = g.A;
        var start = a.CreateLabel();
        a.push(Descriptors.UserData);
        a.mov(rax, Layout.UserStackTop);
        a.push(rax);
        a.push(2);
        a.push(Descriptors.UserCode);
        LoadUserAddress(start);
        a.push(rax);
        a.iretq();
        g.Place(start);
        code();
        a.int3();
    });

    /// <summary>Loads RAX with the address that a place in the code has for CPL 3; RCX is lost.</summary>
    public void LoadUserAddress(Iced.Intel.Label code)
    {
        g.A.lea(rax, __[code]);
        g.A.mov(rcx, Layout.UserAlias);
        g.A.add(rax, rcx);
    }

    /// <summary>Emits the routine.</summary>
    public void Emit() => g.Define(Map, () =>
    {
        const ulong Shared = PageTables.Present | PageTables.User;
        g.Pages.MapPage(Layout.UserAlias, Shared | PageTables.Large, 21);
        for (var i = 0u; i < 2; i++)
        {
            var page = pages.Address + i * Layout.PageSize;
            g.Pages.MapPage(Layout.UserData + i * Layout.PageSize, page | Shared | PageTables.Writable | PageTables.NoExecute);
        }
    });
}
