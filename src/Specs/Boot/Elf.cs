namespace Vmm.Specs.Boot;

/// <summary>System V ABI: the parts of the ELF header and program header that a loader needs.</summary>
public static class Elf
{
    /// <summary>First four bytes, read little endian.</summary>
    public const uint Magic = 0x464C457F;

    /// <summary>e_ident[EI_CLASS]: 1 is 32-bit, 2 is 64-bit.</summary>
    public const int Class = 4;

    /// <summary>e_ident[EI_DATA]: 1 is little endian.</summary>
    public const int Data = 5;

    /// <summary>e_type: 16 bits.</summary>
    public const int Type = 16;

    /// <summary>e_machine: 16 bits.</summary>
    public const int Machine = 18;

    /// <summary>e_entry: 32 or 64 bits.</summary>
    public const int Entry = 24;

    /// <summary>ET_EXEC.</summary>
    public const ushort TypeExec = 2;

    /// <summary>ET_DYN.</summary>
    public const ushort TypeDyn = 3;

    /// <summary>EM_386.</summary>
    public const ushort Machine386 = 3;

    /// <summary>EM_X86_64.</summary>
    public const ushort MachineX64 = 62;

    /// <summary>PT_LOAD.</summary>
    public const uint Load = 1;

    /// <summary>PT_NOTE.</summary>
    public const uint Note = 4;

    /// <summary>Sizes of the ELF header and of a program header, 32-bit class.</summary>
    public const int HeaderSize32 = 52, ProgramHeaderSize32 = 32;

    /// <summary>Sizes of the ELF header and of a program header, 64-bit class.</summary>
    public const int HeaderSize64 = 64, ProgramHeaderSize64 = 56;
}
