using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>The I/O APIC: its registers, and interrupts of the interval timer and the serial port.</summary>
internal static class IoApicTests
{
    const byte TimerVector = 0x50, SerialVector = 0x54;
    const int SerialInput = 4, SpareInput = 20, VersionRegister = 1, FirstEntry = 0x10;
    const int StatusBits = 1 << 12 | 1 << 14;
    const byte TransmitterEmpty = 2, Out2 = 0x0B;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g)
    {
        var inputs = g.Data.U64();
        g.Checks.Test("io apic", $"{inputs} inputs at {g.Apic.IoBase:x}; interval timer on input {g.Acpi.TimerInput}, COM1 on input 4", () =>
        {
            Registers(g, inputs);
            Timer(g);
            Serial(g);
        });
    }

    static void Registers(Guest g, Variable inputs)
    {
        var a = g.A;
        g.Call(g.Apic.IoRead, VersionRegister);
        a.movzx(ebx, al);
        a.shr(eax, 16);
        a.movzx(eax, al);
        a.inc(eax);
        a.mov(inputs, rax);
        g.Checks.Between(rbx, 0x10, 0x2F, "version");
        g.Checks.Between(inputs, 24, 240, "inputs");
        g.Call(g.Apic.Route, SpareInput, Apic.Masked | 1 << 15 | 0x51, 0x0300_0000);
        g.Call(g.Apic.IoRead, FirstEntry + SpareInput * 2);
        a.and(eax, ~StatusBits);
        g.Checks.Equal(rax, Apic.Masked | 1 << 15 | 0x51, "an entry reads back");
        g.Call(g.Apic.IoRead, FirstEntry + SpareInput * 2 + 1);
        a.shr(eax, 24);
        g.Checks.Equal(rax, 3, "its destination");
        g.Call(g.Apic.Route, SpareInput, Apic.Masked, 0);
    }

    /// <summary>Sets the entry of an input: vector, masked or not, to this processor.</summary>
    static void Route(Guest g, Operand input, uint low)
    {
        g.Call(g.Apic.Own);
        g.A.mov(edx, eax);
        g.A.shl(edx, 24);
        g.Load(rdi, input);
        g.A.mov(esi, low);
        g.A.call(g.Apic.Route.Label);
    }

    static void Timer(Guest g)
    {
        var a = g.A;
        Route(g, g.Acpi.TimerInput, TimerVector);
        PicTests.StartTimer(g);
        g.Apic.Within(100_000, TimerVector, 3, "interrupts of the interval timer");
        Route(g, g.Acpi.TimerInput, Apic.Masked | TimerVector);
        g.Apic.Listen(100);
        a.mov(ebx, g.Faults.Counts[TimerVector]);
        g.Apic.Listen(2_000);
        g.Checks.Equal(g.Faults.Counts[TimerVector], rbx, "no more when masked");
        PicTests.StopTimer(g);
    }

    static void Serial(Guest g)
    {
        g.Call(g.Console.Drain);
        Route(g, SerialInput, SerialVector);
        g.Out8(SerialConsole.Port + SerialConsole.ModemControl, Out2);
        g.Out8(SerialConsole.Port + SerialConsole.InterruptEnable, TransmitterEmpty);
        g.Apic.Within(10_000, SerialVector, 1, "interrupt of the serial port's transmitter");
        g.In8(SerialConsole.Port + SerialConsole.FifoControl);
        g.Out8(SerialConsole.Port + SerialConsole.InterruptEnable, 0);
        g.Out8(SerialConsole.Port + SerialConsole.ModemControl, 0x03);
        Route(g, SerialInput, Apic.Masked | SerialVector);
    }
}
