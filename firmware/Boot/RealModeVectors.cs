using System.Buffers.Binary;
using Vmm.Platform.Memory;

namespace Vmm.Firmware.Boot;

/// <summary>
/// The real-mode interrupt vectors. There are no BIOS services here; kernels that ask for one all the same (hypervisors
/// do, for the display and for disk geometry) are told so and go on, instead of running into whatever is at address 0.
/// </summary>
/// <remarks>Layout and answers as the PC BIOS has them: AH 86h and carry for an unknown function, IRET at F000:FF53.</remarks>
internal static class RealModeVectors
{
    const ushort Segment = 0xF000, Start = 0xFF30;
    const ushort MasterInterrupt = Start, SlaveInterrupt = Start + 7, Refuse = Start + 16, Memory = Start + 28, Equipment = Start + 32, Return = Start + 35;

    static ReadOnlySpan<byte> Code =>
    [
        0x50, 0xB0, 0x20, 0xE6, 0x20, 0x58, 0xCF, // PUSH AX; MOV AL, 20h; OUT 20h, AL; POP AX; IRET
        0x50, 0xB0, 0x20, 0xE6, 0xA0, 0xE6, 0x20, 0x58, 0xCF, // the same for both controllers
        0x55, 0x89, 0xE5, 0x80, 0x4E, 0x06, 0x01, 0x5D, 0xB4, 0x86, 0xCF, 0x90, // carry in the caller's flags; AH = 86h
        0xB8, (byte)(MemoryMap.ConventionalEnd >> 10 & 0xFF), (byte)(MemoryMap.ConventionalEnd >> 18), 0xCF, // AX = KiB of memory
        0x31, 0xC0, 0xCF, // AX = no equipment
        0xCF,
    ];

    /// <summary>Adds the vectors and their code to a plan.</summary>
    public static void Write(Placement memory)
    {
        var table = new byte[256 * 4];
        for (var vector = 0; vector < 256; vector++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(table.AsSpan(vector * 4), HandlerOf(vector));
            BinaryPrimitives.WriteUInt16LittleEndian(table.AsSpan(vector * 4 + 2), Segment);
        }

        memory.Write("real-mode vectors", new(0), table);
        memory.Write("real-mode handlers", new(((ulong)Segment << 4) + Start), Code.ToArray());
    }

    static ushort HandlerOf(int vector) => vector switch
    {
        >= 0x08 and <= 0x0F => MasterInterrupt,
        >= 0x70 and <= 0x77 => SlaveInterrupt,
        0x11 => Equipment,
        0x12 => Memory,
        >= 0x10 and <= 0x1A => Refuse,
        _ => Return,
    };
}
