using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>COM1 in loopback mode: data and modem lines come back, nothing leaves.</summary>
internal static class SerialTests
{
    const byte Loopback = 0x10, ModemLines = 0x0F, Ready = 0x03, DataReady = 1;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g) => g.Checks.Test("serial", $"16550 in loopback mode: data, FIFO order, modem lines, scratch register", () =>
    {
        Scratch(g);
        g.Call(g.Console.Drain);
        g.Out8(SerialConsole.Port + SerialConsole.FifoControl, 0x07);
        g.Out8(SerialConsole.Port + SerialConsole.ModemControl, Loopback);
        Data(g);
        Lines(g);
        g.Out8(SerialConsole.Port + SerialConsole.FifoControl, 0x07);
        g.Out8(SerialConsole.Port + SerialConsole.ModemControl, Ready);
        Report(g);
    });

    // While the loop is closed a report of a failure would go nowhere: results are kept in registers until then.
    static void Data(Guest g)
    {
        var a = g.A;
        a.xor(ebx, ebx);
        foreach (var value in new byte[] { 0x00, 0x5A, 0xA5, 0xFF })
        {
            g.Out8(SerialConsole.Port, value);
        }

        for (var i = 0; i < 4; i++)
        {
            g.WaitUntil(10_000, When.NotEqual, () =>
            {
                g.In8(SerialConsole.Port + SerialConsole.LineStatus);
                a.test(al, DataReady);
            });
            g.In8(SerialConsole.Port);
            a.shl(ebx, 8);
            a.mov(bl, al);
        }
    }

    static void Lines(Guest g)
    {
        var a = g.A;
        g.Out8(SerialConsole.Port + SerialConsole.ModemControl, Loopback | ModemLines);
        g.In8(SerialConsole.Port + SerialConsole.ModemStatus);
        a.movzx(r12d, al);
        a.and(r12d, 0xF0);
        g.Out8(SerialConsole.Port + SerialConsole.ModemControl, Loopback | 1);
        g.In8(SerialConsole.Port + SerialConsole.ModemStatus);
        a.movzx(r13d, al);
        a.and(r13d, 0xF0);
    }

    static void Report(Guest g)
    {
        g.Checks.Equal(rbx, 0x005A_A5FF, "bytes sent to itself");
        g.Checks.Equal(r12, 0xF0, "DTR, RTS, OUT1, OUT2 come back as DSR, CTS, RI, DCD");
        g.Checks.Equal(r13, 0x20, "DTR alone comes back as DSR");
    }

    static void Scratch(Guest g)
    {
        foreach (var value in new byte[] { 0xA5, 0x5A })
        {
            g.Out8(SerialConsole.Port + SerialConsole.Scratch, value);
            g.In8(SerialConsole.Port + SerialConsole.Scratch);
            g.A.movzx(eax, al);
            g.Checks.Equal(rax, value, "scratch register");
        }
    }
}
