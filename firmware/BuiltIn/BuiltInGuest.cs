using Vmm.Firmware.BuiltIn.Dma;
using Vmm.Firmware.BuiltIn.Runtime;
using Vmm.Firmware.BuiltIn.Tests;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn;

/// <summary>
/// Bare-metal guests that need no file. All of them bring up long mode, paging, interrupts and the serial port and find the
/// machine through ACPI; what one then does is its program. It prints a line per test and a verdict, and ends the run by the
/// debug exit port (0 passed, 1 failed) or, without one, by ACPI soft off.
/// </summary>
public static class BuiltInGuest
{
    const uint NoExecuteEnable = 1 << 11;
    const uint Efer = 0xC000_0080;
    const int MonitorCoprocessor = 1 << 1, Emulation = 1 << 2, TaskSwitched = 1 << 3, NumericError = 1 << 5;
    const int WriteProtect = 1 << 16;
    const int DebuggingExtensions = 1 << 3, GlobalPages = 1 << 7, SimdSave = 1 << 9, SimdExceptions = 1 << 10;

    /// <summary>Tries the processors, timers, interrupts and the DMA path. The one that runs when none is named.</summary>
    public const string Test = "test";

    /// <summary>Maps, lets the NVMe controller transfer, unmaps, and counts what that takes.</summary>
    public const string Dma = "dma";

    static readonly (string Name, Action<Guest> Program)[] Guests = [(Test, TestList.Emit), (Dma, DmaProgram.Emit)];

    /// <summary>Names of the guests.</summary>
    public static IEnumerable<string> Names => Guests.Select(static g => g.Name);

    /// <summary>
    /// Makes an image: a 32-bit ELF file that multiboot and PVH loaders start. Words of its command line choose details: see
    /// <see cref="BuiltInOptions"/>. Equal versions of this program make equal images.
    /// </summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <exception cref="ArgumentException">There is no such guest.</exception>
    public static byte[] Build(string name = Test)
    {
        var program = Array.Find(Guests, g => g.Name == name).Program ?? throw new ArgumentException($"there is no built-in guest '{name}'", nameof(name));
        var guest = new Guest();
        EmitStart(guest, program);
        guest.EmitRuntime();
        var code = new ByteListWriter();
        var assembled = guest.Assemble(code);
        guest.Data.Resolve(assembled);
        guest.Processors.Resolve(assembled);
        var boot = new Boot32(guest, Layout.Text);
        var text = code.ToArray();
        Require(boot.Bytes.Length <= Layout.Text - Layout.Boot, "32-bit code");
        Require(text.Length <= Layout.Data - Layout.Text, "64-bit code");
        var data = guest.Data.Initialised.ToArray();
        return GuestImage.Write(
            boot.Entry,
            (Layout.Boot, boot.Bytes, (uint)boot.Bytes.Length),
            (Layout.Text, text, (uint)text.Length),
            (Layout.Data, data, Layout.End - Layout.Data));
    }

    static void Require(bool fits, string part)
    {
        if (!fits)
        {
            throw new InvalidOperationException($"the guest's {part} does not fit");
        }
    }

    /// <summary>The first 64-bit code: it has to be at the start of the text.</summary>
    static void EmitStart(Guest guest, Action<Guest> program)
    {
        var a = guest.A;
        a.mov(eax, Descriptors.KernelData);
        a.mov(ds, eax);
        a.mov(es, eax);
        a.mov(ss, eax);
        a.xor(eax, eax);
        a.mov(fs, eax);
        a.mov(gs, eax);
        a.mov(rsp, guest.Descriptors.StackTop(0));
        a.lidt(__[(ulong)guest.Descriptors.IdtPointer.Address]);
        a.mov(eax, Descriptors.FirstTask);
        a.ltr(eax);
        EmitControlRegisters(guest);
        guest.Call(guest.Console.Start);
        guest.Call(guest.Apic.StartPic);
        guest.Call(guest.Apic.Start);
        guest.Call(guest.Options.Read);
        guest.Call(guest.Clock.Calibrate);
        guest.Call(guest.Acpi.Find);
        guest.Print($"built-in guest: TSC {guest.Clock.Kilohertz:k} MHz\n");
        var run = guest.NewRoutine();
        a.jmp(run.Label);
        program(guest);
        run.Place(a);
        guest.Checks.RunAll();
    }

    /// <summary>Sets CR0, CR4 and EFER as all processors have them.</summary>
    internal static void EmitControlRegisters(Guest guest)
    {
        var a = guest.A;
        guest.ReadMsr(Efer);
        a.or(eax, NoExecuteEnable);
        guest.WriteMsr(Efer);
        a.mov(rax, cr0);
        a.and(eax, ~(Emulation | TaskSwitched | 1 << 29 | 1 << 30));
        a.or(eax, MonitorCoprocessor | NumericError | WriteProtect);
        a.mov(cr0, rax);
        a.mov(rax, cr4);
        a.or(eax, DebuggingExtensions | GlobalPages | SimdSave | SimdExceptions);
        a.mov(cr4, rax);
    }
}
