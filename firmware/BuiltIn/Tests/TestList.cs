namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>All tests in the order in which they run: each relies only on what earlier ones have shown.</summary>
internal static class TestList
{
    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest guest)
    {
        ProcessorTests.Emit(guest);
        LongModeTests.Emit(guest);
        StringTests.Emit(guest);
        CodeModificationTests.Emit(guest);
        ExceptionTests.Emit(guest);
        PagingTests.Emit(guest);
        PrivilegeTests.Emit(guest);
        DebugTests.Emit(guest);
        FloatTests.Emit(guest);
        VectorTests.Emit(guest);
        SerialTests.Emit(guest);
        AcpiTests.Emit(guest);
        PicTests.Emit(guest);
        LocalApicTests.Emit(guest);
        TimerTests.Emit(guest);
        IoApicTests.Emit(guest);
        ClockTests.Emit(guest);
        DateTests.Emit(guest);
        MultiprocessorTests.Emit(guest);
        PciTests.Emit(guest);
        EduTests.Emit(guest);
        NvmeTests.Emit(guest);
        RemappingTests.EmitSetUp(guest);
        RemappingTests.EmitTransfers(guest);
        InterruptRemappingTests.Emit(guest);
        RemappedNvmeTests.Emit(guest);
        RemappingEnd.Emit(guest);
        X2ApicTests.Emit(guest);
    }
}
