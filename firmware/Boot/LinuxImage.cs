using System.Buffers.Binary;
using Vmm.Firmware.Compression;
using Vmm.Specs.Boot;

namespace Vmm.Firmware.Boot;

/// <summary>A bzImage: boot sector and setup code with the header, then the protected-mode code with the packed kernel.</summary>
internal sealed class LinuxImage
{
    const int SectorSize = 512;
    const int DefaultSetupSectors = 4;
    const int Version203 = 0x203, Version205 = 0x205, Version206 = 0x206, Version208 = 0x208, Version20A = 0x20A, Version20C = 0x20C;
    const uint OldInitrdMax = 0x37FFFFFF;
    const int OldCmdlineSize = 255;
    const ulong OldLoadAddress = 0x100000;
    const int LargestKernel = 1 << 29;

    readonly ImageReader reader;
    readonly int version;

    /// <summary>Reads and checks the header.</summary>
    /// <exception cref="ImageException">It is not a bzImage, or a field is bad.</exception>
    public LinuxImage(ReadOnlyMemory<byte> image)
    {
        reader = new(image);
        if (!IsLinux(image.Span))
        {
            throw new ImageException("bzImage header", LinuxBoot.Header, "boot_flag is not 0xAA55 or HdrS is missing");
        }

        HeaderEnd = LinuxBoot.Header + image.Span[LinuxBoot.HeaderLength];
        version = (int)Field("version", LinuxBoot.Version, 2);
        var loadFlags = Field("loadflags", LinuxBoot.LoadFlags, 1);
        if (version < 0x200 || (loadFlags & LinuxBoot.LoadedHigh) == 0)
        {
            throw new ImageException("bzImage loadflags", LinuxBoot.LoadFlags, "the kernel is a zImage for low memory, which is not supported");
        }

        var sectors = (int)Field("setup_sects", LinuxBoot.SetupSects, 1);
        var start = (ulong)((sectors == 0 ? DefaultSetupSectors : sectors) + 1) * SectorSize;
        if (start >= (ulong)image.Length)
        {
            throw new ImageException("bzImage setup_sects", LinuxBoot.SetupSects, $"{sectors} sectors are past the end of the image");
        }

        Code = image[(int)start..];
        CodeOffset = (long)start;
        if (HeaderEnd > Math.Min(LinuxBoot.HeaderEnd, (int)start))
        {
            throw new ImageException("bzImage header length", LinuxBoot.HeaderLength, $"the header would end at 0x{HeaderEnd:x}");
        }

        CheckAlignment();
    }

    /// <summary>The protected-mode code.</summary>
    public ReadOnlyMemory<byte> Code { get; }

    /// <summary>Where it starts in the file.</summary>
    public long CodeOffset { get; }

    /// <summary>End of the header in the file.</summary>
    public int HeaderEnd { get; }

    /// <summary>The header: file bytes from setup_sects on.</summary>
    public ReadOnlyMemory<byte> Header => reader.Image[LinuxBoot.SetupSects..HeaderEnd];

    /// <summary>True when the kernel has the 64-bit entry point.</summary>
    public bool Has64BitEntry => version >= Version20C && (Field("xloadflags", LinuxBoot.XLoadFlags, 2) & LinuxBoot.XlfKernel64) != 0;

    /// <summary>True when it may be loaded elsewhere.</summary>
    public bool Relocatable => version >= Version205 && Field("relocatable_kernel", LinuxBoot.RelocatableKernel, 1) != 0;

    /// <summary>Alignment of the load address; a power of two.</summary>
    public ulong Alignment => Relocatable ? Field("kernel_alignment", LinuxBoot.KernelAlignment, 4) : 1;

    /// <summary>Where it likes to be loaded.</summary>
    public ulong PreferredAddress => version >= Version20A ? Field("pref_address", LinuxBoot.PrefAddress, 8) : OldLoadAddress;

    /// <summary>Memory it needs from there on, at least the code itself.</summary>
    public ulong InitSize => Math.Max((ulong)Code.Length, version >= Version20A ? Field("init_size", LinuxBoot.InitSize, 4) : 0);

    /// <summary>Highest address that the RAM disk may occupy.</summary>
    public ulong InitrdMax => version >= Version203 ? Field("initrd_addr_max", LinuxBoot.InitrdAddrMax, 4) : OldInitrdMax;

    /// <summary>Most bytes of the command line.</summary>
    public ulong CmdlineSize => version >= Version206 ? Field("cmdline_size", LinuxBoot.CmdlineSize, 4) : OldCmdlineSize;

    /// <summary>True when the payload is a kernel packed in a known way.</summary>
    public bool HasPayload => version >= Version208 && Field("payload_length", LinuxBoot.PayloadLength, 4) != 0
        && Decompressor.Detect(Payload().Span) != CompressionFormat.None;

    /// <summary>True when the bytes start a bzImage.</summary>
    public static bool IsLinux(ReadOnlySpan<byte> image) => image.Length >= LinuxBoot.Header + 4
        && BinaryPrimitives.ReadUInt16LittleEndian(image[LinuxBoot.BootFlag..]) == LinuxBoot.BootFlagValue
        && BinaryPrimitives.ReadUInt32LittleEndian(image[LinuxBoot.Header..]) == LinuxBoot.HeaderMagic;

    /// <summary>Unpacks the kernel proper, an ELF file.</summary>
    /// <exception cref="ImageException">There is none, or it is damaged.</exception>
    public byte[] Unpack()
    {
        var payload = Payload();
        var format = Decompressor.Detect(payload.Span);
        // The build appends the unpacked size, except to gzip, whose own last word it is.
        const int SizeWord = 4;
        var expected = payload.Length > SizeWord ? BinaryPrimitives.ReadUInt32LittleEndian(payload.Span[^SizeWord..]) : 0;
        try
        {
            return Decompressor.Unpack(format == CompressionFormat.Gzip ? payload : payload[..Math.Max(0, payload.Length - SizeWord)], LargestKernel, expected);
        }
        catch (ImageException error) when (error.Offset >= 0)
        {
            // Offsets count from the start of the file.
            throw new ImageException($"bzImage payload: {error.Field}", error.Offset + CodeOffset + (long)PayloadOffset, error.Problem);
        }
    }

    ulong PayloadOffset => Field("payload_offset", LinuxBoot.PayloadOffset, 4);

    ReadOnlyMemory<byte> Payload() => version < Version208
        ? throw new ImageException("bzImage version", LinuxBoot.Version, "before 2.08 the payload cannot be found")
        : new ImageReader(Code).Slice("bzImage payload_offset", PayloadOffset, Field("payload_length", LinuxBoot.PayloadLength, 4), LinuxBoot.PayloadOffset);

    void CheckAlignment()
    {
        if (Relocatable && !System.Numerics.BitOperations.IsPow2(Alignment))
        {
            throw new ImageException("bzImage kernel_alignment", LinuxBoot.KernelAlignment, $"0x{Alignment:x} is not a power of two");
        }
    }

    ulong Field(string name, int offset, int size) => offset + size <= HeaderEnd
        ? reader.Read($"bzImage {name}", offset, size)
        : throw new ImageException($"bzImage {name}", offset, $"the header ends before it, at 0x{HeaderEnd:x}");
}
