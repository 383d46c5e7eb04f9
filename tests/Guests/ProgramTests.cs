using System.Diagnostics;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Guests;

/// <summary>The program from outside: exit codes, one-line errors, hostile guests that end on their own terms.</summary>
public sealed class ProgramTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("vmm-test").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    static (int Code, string Output, string Error) Run(params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "vmm.dll"), .. arguments])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true,
        };
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(120_000), "the program hangs");
        return (process.ExitCode, output, error.Result);
    }

    string Image(Action<Assembler> code)
    {
        var assembler = new Assembler(16);
        code(assembler);
        var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), 0x7C00);
        stream.SetLength(510);
        stream.Position = 510;
        stream.Write([0x55, 0xAA]);
        var path = Path.Combine(folder, "boot.img");
        File.WriteAllBytes(path, stream.ToArray());
        return path;
    }

    string Garbage(string name, byte[] bytes)
    {
        var path = Path.Combine(folder, name);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    [Fact]
    public void Without_arguments_the_built_in_guest_passes()
    {
        var (code, output, error) = Run("run", "--smp", "2");
        Assert.True(code == 0, output + error);
        Assert.Contains("PASS", output);
        Assert.DoesNotContain("[FAIL]", output);
        Assert.Contains("state hash", error);
    }

    [Theory]
    [InlineData("run", "--smp", "0")]
    [InlineData("run", "--smp", "9")]
    [InlineData("run", "--smp", "two")]
    [InlineData("run", "--memory", "1M")]
    [InlineData("run", "--memory", "99999999999999999999G")]
    [InlineData("run", "--memory", "size=512M,slots=3")]
    [InlineData("run", "--memory", "-5M")]
    [InlineData("run", "--kernel", "/nonexistent/kernel")]
    [InlineData("run", "--kernel", "/dev/zero")]
    [InlineData("run", "--kernel", "/proc/self/status")]
    [InlineData("run", "--kernel", "/")]
    [InlineData("run", "--timeout", "soon")]
    [InlineData("run", "--exit-on", "boredom")]
    [InlineData("run", "--serial", "carrier-pigeon")]
    [InlineData("run", "--iommu", "smmu")]
    [InlineData("run", "--iommu", "vtd,profile=lenient")]
    [InlineData("run", "--iommu", "vtd,aw-bits=47")]
    [InlineData("run", "--iommu", "vtd,pt=on,pt=off")]
    [InlineData("run", "--disk", "path=/nonexistent.img")]
    [InlineData("run", "--disk", "path=/tmp")]
    [InlineData("run", "--disk", "size=4K,block-size=513")]
    [InlineData("run", "--restore", "/etc/hostname")]
    [InlineData("run", "--save", "path=x")]
    [InlineData("run", "--no-such-option")]
    [InlineData("dance")]
    public void A_bad_option_gives_one_line_and_exit_code_2(params string[] arguments)
    {
        var (code, _, error) = Run(arguments);
        Assert.Equal(2, code);
        Assert.StartsWith("vmm: ", error);
        Assert.Single(error.Trim().Split('\n'));
    }

    [Fact]
    public void A_damaged_image_gives_one_line_and_exit_code_2()
    {
        var elf = new byte[4096];
        new byte[] { 0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1 }.CopyTo(elf, 0);
        elf.AsSpan(16).Fill(0xFF);
        var linux = new byte[4096];
        linux[0x1F1] = 200;
        "HdrS"u8.CopyTo(linux.AsSpan(0x202));
        linux[0x1FE] = 0x55;
        linux[0x1FF] = 0xAA;
        foreach (var path in new[] { Garbage("elf", elf), Garbage("linux", linux), Garbage("text", "not a kernel"u8.ToArray()), Garbage("empty", []), Garbage("gzip", [0x1F, 0x8B, 8, 0, 0, 0]) })
        {
            var (code, _, error) = Run("run", "--kernel", path);
            Assert.True(code == 2, path + error);
            Assert.Single(error.Trim().Split('\n'));
        }
    }

    [Fact]
    public void A_truncated_snapshot_is_refused()
    {
        var path = Path.Combine(folder, "s.snap");
        var image = Image(c =>
        {
            var loop = c.CreateLabel();
            c.Label(ref loop);
            c.inc(eax);
            c.jmp(loop);
        });
        Assert.Equal(0, Run("run", "--kernel", image, "--save", $"path={path},at=1ms").Code);
        var bytes = File.ReadAllBytes(path);
        foreach (var length in new[] { bytes.Length - 1, bytes.Length / 2, 20 })
        {
            var (code, _, error) = Run("run", "--restore", Garbage("cut.snap", bytes[..length]));
            Assert.True(code == 2, error);
            Assert.Single(error.Trim().Split('\n'));
        }

        bytes[bytes.Length / 3] ^= 1;
        Assert.Equal(2, Run("run", "--restore", Garbage("bad.snap", bytes)).Code);
        Assert.Equal(4, Run("run", "--restore", path, "--virtual-timeout", "3ms").Code);
    }

    [Fact]
    public void A_triple_fault_ends_with_its_own_exit_code_and_a_register_dump()
    {
        var image = Image(c =>
        {
            // The sector is zero there: an empty interrupt table.
            c.lidt(__[0x7D00]);
            c.ud2();
        });
        var (code, _, error) = Run("run", "--kernel", image);
        Assert.Equal(3, code);
        Assert.Contains("triple fault", error);
        Assert.Contains("rip=", error);
    }

    [Fact]
    public void A_guest_that_halts_for_ever_is_found_out()
    {
        var (code, _, error) = Run("run", "--kernel", Image(c =>
        {
            c.cli();
            c.hlt();
        }));
        Assert.Equal(3, code);
        Assert.Contains("halted", error);
        Assert.Contains("rip=", error);
    }

    [Fact]
    public void A_guest_that_spins_with_interrupts_off_ends_by_either_time_limit()
    {
        var image = Image(c =>
        {
            var loop = c.CreateLabel();
            c.cli();
            c.Label(ref loop);
            c.jmp(loop);
        });
        var (code, _, error) = Run("run", "--kernel", image, "--timeout", "1s");
        Assert.Equal(4, code);
        Assert.Contains("rip=", error);
        Assert.Equal(4, Run("run", "--kernel", image, "--virtual-timeout", "10ms").Code);
    }

    [Fact]
    public void The_debug_exit_port_gives_the_exit_code()
    {
        var image = Image(c =>
        {
            c.mov(al, 3);
            c.@out(0xF4, al);
        });
        Assert.Equal(1, Run("run", "--kernel", image).Code);
        Assert.Equal(7, Run("run", "--kernel", image, "--qemu-exit").Code);
    }
}
