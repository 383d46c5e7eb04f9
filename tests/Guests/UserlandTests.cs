using System.Diagnostics;
using System.Security.Cryptography;
using Vmm.Firmware.Archives;
using Vmm.Firmware.Initrd;
using Vmm.Guests.Kit;
using Vmm.Machine;
using Xunit;

namespace Vmm.Guests;

/// <summary>Debian's own programs give the same output in the guest as on the host.</summary>
public sealed class UserlandTests
{
    const string Perl = """
        my %h; my $x = 12345; for my $i (1..20000) { $x = ($x * 1103515245 + 12345) & 0x7fffffff; $h{$x % 5000} += $i; }
        my @k = sort { $h{$b} <=> $h{$a} || $a <=> $b } keys %h; print join(",", @k[0..9]), "\n";
        my $s = 0; $s += sqrt($_) * sin($_) / ($_ + 0.5) for 1..5000; printf "%.15g %.10e %a\n", $s, $s, $s;
        my $t = join " ", map { sprintf "w%03d", $_ * 7 % 113 } 1..200; my $n = 0; $n++ while $t =~ /\bw(\d)(\d)\2\b/g; print "match $n\n";
        printf "%.20g %.17g %.3f %s\n", 1e300 * 1e10, 2 ** 0.5, atan2(1, 1) * 4, 1e15 / 3; print scalar reverse(lc "Hello World"), "\n";
        """;

    const string Awk = """BEGIN { s = 0; for (i = 1; i < 20000; i++) s += sin(i) * exp(-i / 5000) / sqrt(i); printf "%.17g %.10g %g %.3f\n", s, log(2) * 1e10, 2 ^ 0.5, atan2(0, -1) }""";

    const string Bc = "scale=60; a(1)*4; e(1); sqrt(2)";

    static string[] PrintfArguments => ["%.25Lf|%.15Le|%Lg|%.20La\\n", "3.14159265358979323846264", "1e-4000", "1e4000", "0.1"];

    static IReadOnlyList<ArchiveEntry> Programs(params string[] packages)
    {
        string[] wanted = ["usr/bin/perl", "usr/bin/mawk", "usr/bin/bc", "usr/bin/printf"];
        bool IsWanted(ArchiveEntry entry) => entry.Kind != ArchiveEntryKind.Directory
            && (wanted.Contains(entry.Path) || entry.Path.Contains("lib/x86_64-linux-gnu/", StringComparison.Ordinal)
                || entry.Path.StartsWith("lib64/", StringComparison.Ordinal));
        return [.. packages.Select(DebianArchive.Get).SelectMany(p => p.Entries(IsWanted).Where(IsWanted)).GroupBy(e => e.Path).Select(g => g.First())];
    }

    static string OnHost(string program, params string[] arguments)
    {
        if (!File.Exists(program))
        {
            throw new SkipException($"{program} is not on this host, so there is nothing to compare with");
        }

        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true };
        start.Environment["LC_ALL"] = "C";
        start.Environment["BC_LINE_LENGTH"] = "0";
        using var process = Process.Start(start)!;
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return text;
    }

    static string Section(string output, string name)
    {
        var start = output.IndexOf($"== {name}\n", StringComparison.Ordinal);
        Assert.True(start >= 0, $"no section {name} in:\n{output}");
        start += name.Length + 4;
        var end = output.IndexOf("\n== ", start - 1, StringComparison.Ordinal);
        return output[start..(end < 0 ? output.Length : end + 1)];
    }

    [SkippableFact]
    public void Perl_awk_bc_and_long_double_formatting_agree_with_the_host()
    {
        var host = (
            Perl: OnHost("/usr/bin/perl", "-e", Perl),
            Awk: OnHost("/usr/bin/mawk", Awk),
            Printf: OnHost("/usr/bin/printf", PrintfArguments));
        var programs = Programs("perl-base", "mawk", "coreutils", "bc", "libc6", "libcrypt1", "libreadline8", "libtinfo6");
        IReadOnlyList<ArchiveEntry> extra =
        [
            .. programs,
            InitramfsEntries.Text("t.pl", Perl), InitramfsEntries.Text("t.awk", Awk), InitramfsEntries.Text("t.bc", Bc + "\n"),
        ];
        using var guest = new Guest(
            Kernel.Cloud,
            Guest.Script(
                $"""
                export LC_ALL=C BC_LINE_LENGTH=0
                echo == perl
                /usr/bin/perl /t.pl
                echo == awk
                /usr/bin/mawk -f /t.awk
                echo == printf
                /usr/bin/printf {string.Join(' ', PrintfArguments.Select(a => $"'{a}'"))}
                echo == bc
                /usr/bin/bc -l < /t.bc
                echo == end
                """),
            append: "quiet", extra: extra);
        Assert.Equal(StopCause.PowerOff, guest.Run().Cause);
        Assert.Equal(host.Perl, Section(guest.Output, "perl"));
        Assert.Equal(host.Awk, Section(guest.Output, "awk"));
        Assert.Equal(host.Printf, Section(guest.Output, "printf"));
        // bc is integer arithmetic: the digits are known.
        Assert.Equal(
            "3.141592653589793238462643383279502884197169399375105820974944\n2.718281828459045235360287471352662497757247093699959574966967\n1.414213562373095048801688724209698078569671875376948073176679\n",
            Section(guest.Output, "bc"));
    }

    [SkippableFact]
    public void Sha256sum_of_64_MiB_and_a_gzip_round_trip_agree_with_the_host()
    {
        using var guest = new Guest(
            Kernel.Cloud,
            Guest.Script(
                """
                mount -t tmpfs tmp /tmp
                echo == sha
                dd if=/dev/zero bs=1M count=64 2>/dev/null | tr '\0' 'x' | sha256sum
                echo == gzip
                seq 1 200000 > /tmp/a
                gzip -c /tmp/a > /tmp/a.gz
                gunzip -c /tmp/a.gz | cmp - /tmp/a && echo same
                sha256sum < /tmp/a
                echo == end
                """),
            memory: 512ul << 20, append: "quiet");
        Assert.Equal(StopCause.PowerOff, guest.Run().Cause);
        var data = new byte[64 << 20];
        Array.Fill(data, (byte)'x');
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(data)) + "  -\n", Section(guest.Output, "sha"));
        var numbers = System.Text.Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(1, 200000).Select(i => $"{i}\n")));
        Assert.Equal($"same\n{Convert.ToHexStringLower(SHA256.HashData(numbers))}  -\n", Section(guest.Output, "gzip"));
    }
}
