using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>The RTC's date is a date, and its time moves on.</summary>
internal static class DateTests
{
    const byte UpdateInProgress = 0x80, Binary = 4, Valid = 0x80;

    /// <summary>Seconds, minutes, hours, day, month, year by register.</summary>
    static readonly (byte Register, int Low, int High, string Name)[] Fields =
    [
        (0, 0, 59, "seconds"), (2, 0, 59, "minutes"), (4, 0, 23, "hours"), (7, 1, 31, "day"), (8, 1, 12, "month"), (9, 0, 99, "year"),
    ];

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g)
    {
        var field = g.Data.Zeroed((uint)Fields.Length * 8, 8);
        g.Checks.Test("rtc", $"20{field[5]:z2}-{field[4]:z2}-{field[3]:z2} {field[2]:z2}:{field[1]:z2}:{field[0]:z2}", () =>
        {
            var a = g.A;
            Read(g, 0xD);
            a.and(eax, Valid);
            g.Checks.Equal(rax, Valid, "register D: RAM and time are valid");
            Read(g, 0xB);
            a.mov(ebx, eax);
            g.Checks.Within(1_500_000, When.Equal, "no update in progress", () =>
            {
                for (var i = 0; i < 32; i++)
                {
                    a.pause();
                }

                Read(g, 0xA);
                a.test(al, UpdateInProgress);
            });
            for (var i = 0; i < Fields.Length; i++)
            {
                Read(g, Fields[i].Register);
                ToBinary(g);
                a.mov(field[i], rax);
            }

            for (var i = 0; i < Fields.Length; i++)
            {
                g.Checks.Between(field[i], Fields[i].Low, Fields[i].High, Fields[i].Name);
            }
        });
    }

    /// <summary>Register B is in EBX.</summary>
    static void ToBinary(Guest g)
    {
        var a = g.A;
        a.test(bl, Binary);
        g.If(When.Equal, () =>
        {
            a.mov(ecx, eax);
            a.shr(ecx, 4);
            a.and(eax, 0xF);
            a.imul(ecx, ecx, 10);
            a.add(eax, ecx);
        });
    }

    static void Read(Guest g, byte register)
    {
        g.Out8(0x70, register);
        g.In8(0x71);
        g.A.movzx(eax, al);
    }
}
