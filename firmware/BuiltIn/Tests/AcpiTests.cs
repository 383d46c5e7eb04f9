using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>ACPI describes the machine: checksums are right, and the tables that the guest needs are there.</summary>
internal static class AcpiTests
{
    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g) => g.Checks.Test("acpi", () => Summary(g), () =>
    {
        var a = g.A;
        a.cmp(g.Acpi.Rsdp, 0);
        g.If(When.Equal, () => g.Checks.Skip("there is no RSDP"));
        Root(g);
        g.For(r12, g.Acpi.Count, () =>
        {
            a.mov(rbx, g.Acpi.Tables.At(r12));
            g.Call(g.Acpi.Sum, rbx, Operand.Of(__dword_ptr[rbx + 4], 4));
            g.Checks.Equal(rax, 0, "checksum of a table");
        });
        g.Checks.Between(g.Acpi.Count, 3, AcpiReader.MostTables, "number of tables");
        g.Checks.Between(g.Acpi.Processors, 1, 255, "processors in the MADT");
        g.Checks.Between(g.Acpi.IoApics, 1, 16, "I/O APICs in the MADT");
        g.Checks.Between(g.Acpi.PmTimer, 1, 0xFFFF, "port of the PM timer");
        g.Checks.Between(g.Acpi.PmControl, 1, 0xFFFF, "port of PM1a control");
        g.Call(g.Power.SoftOffType);
        g.Checks.Between(rax, 0, 7, "\\_S5 in the DSDT");
    });

    static void Root(Guest g)
    {
        var a = g.A;
        a.mov(rbx, g.Acpi.Rsdp);
        g.Call(g.Acpi.Sum, rbx, 20);
        g.Checks.Equal(rax, 0, "checksum of the RSDP");
        a.cmp(__byte_ptr[rbx + 15], 2);
        g.If(When.NotBelow, () =>
        {
            g.Call(g.Acpi.Sum, rbx, Operand.Of(__dword_ptr[rbx + 20], 4));
            g.Checks.Equal(rax, 0, "extended checksum of the RSDP");
        });
    }

    static void Summary(Guest g)
    {
        g.A.mov(rbx, g.Acpi.Rsdp);
        g.Print($"RSDP {rbx:x} names");
        g.For(r12, g.Acpi.Count, () =>
        {
            g.A.mov(rbx, g.Acpi.Tables.At(r12));
            g.Print($" {rbx:s4}");
        });
    }
}
