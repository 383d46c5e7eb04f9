namespace Vmm.Firmware.BuiltIn.Dma;

/// <summary>The guest that maps, lets the NVMe controller transfer, unmaps, and counts: its parts in the order in which they run.</summary>
internal static class DmaProgram
{
    /// <summary>Emits the program.</summary>
    public static void Emit(Guest guest)
    {
        var buffers = new DmaBuffers(guest);
        var disk = new DmaDisk(guest, buffers);
        var load = new DmaLoad(guest, buffers, disk);
        disk.EmitFind();
        buffers.EmitStart();
        disk.EmitStart();
        load.EmitTests();
        ProtectionTests.Emit(guest, buffers, disk);
        disk.EmitEnd();
        buffers.Emit();
        disk.Emit();
        load.Emit();
    }
}
