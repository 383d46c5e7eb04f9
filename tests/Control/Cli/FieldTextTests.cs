using Google.LongRunning;
using Google.Protobuf;
using Vmm.Api.V1;
using Vmm.Cli;
using Vmm.ControlTests.Kit;
using Xunit;

namespace Vmm.ControlTests.Cli;

public sealed class FieldTextTests
{
    static T Message<T>(params string[] words)
        where T : IMessage, new() => (T)FieldText.Message(new T().Descriptor, words);

    static string Refused<T>(params string[] words)
        where T : IMessage, new() => Assert.Throws<UsageException>(() => Message<T>(words)).Message;

    [Fact]
    public void Words_of_every_kind_of_field_make_a_message()
    {
        var message = Message<CreateMachineRequest>(
            "name=a", "spec.vcpus=2", "spec.memory-bytes=0x10000000", "spec.idle_mode=skip", "spec.iommu.caching_mode=on", "spec.iommu={\"profile\":\"strict\"}",
            "spec.disks+={\"size_bytes\":4096}", "spec.disks+={\"sizeBytes\":\"8192\",\"mode\":\"DISK_MODE_READ_ONLY\"}", "spec.boot.initrds+=x", "spec.boot.initrds+=y=z",
            "spec.boot.command_line=console=ttyS0 a=b", "spec.cost.cycles={\"exit\":7}", "spec.start_time=-5");
        Assert.Equal(
            new()
            {
                Name = "a",
                Spec = new()
                {
                    Vcpus = 2, MemoryBytes = 0x1000_0000, IdleMode = IdleMode.Skip, Iommu = new() { Profile = "strict" },
                    Disks = { new DiskSpec { SizeBytes = 4096 }, new DiskSpec { SizeBytes = 8192, Mode = DiskMode.ReadOnly } },
                    Boot = new() { Initrds = { "x", "y=z" }, CommandLine = "console=ttyS0 a=b" }, Cost = new() { Cycles = { { "exit", 7 } } }, StartTime = -5,
                },
            },
            message);
    }

    [Fact]
    public void Bytes_have_escapes_and_files_are_contents()
    {
        Assert.Equal("a\n\r\t\\"u8.ToArray(), Message<SendConsoleRequest>(@"input=a\n\r\t\\").Input.ToByteArray());
        Assert.Equal([0xFF, 0x00, .. "é😀"u8, (byte)'q', (byte)'\\'], Message<SendConsoleRequest>(@"input=\xFF\x00é😀\q\").Input.ToByteArray());
        using var folder = new TemporaryFolder();
        var file = folder.At("file");
        File.WriteAllBytes(file, [1, 0xFE, 3]);
        Assert.Equal([1, 0xFE, 3], Message<SendConsoleRequest>("input=@" + file).Input.ToByteArray());
        File.WriteAllText(file, """{"vcpus": 3}""");
        Assert.Equal(3u, Message<CreateMachineRequest>("spec=@" + file).Spec.Vcpus);
        Assert.Equal("text", Message<CreateMachineRequest>("spec=@" + file, "name=text").Name);
    }

    [Theory]
    [InlineData("5s", 5, 0)]
    [InlineData("0.25s", 0, 250_000_000)]
    public void A_duration_is_text(string text, long seconds, int nanos)
    {
        var timeout = Message<WaitOperationRequest>("timeout=" + text).Timeout;
        Assert.Equal((seconds, nanos), (timeout.Seconds, timeout.Nanos));
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("=5")]
    [InlineData("nonsense=5")]
    [InlineData("spec.nonsense=5")]
    [InlineData("spec.vcpus=abc")]
    [InlineData("spec.vcpus=-1")]
    [InlineData("spec.vcpus=4294967296")]
    [InlineData("spec.vcpus=0x100000000")]
    [InlineData("spec.vcpus=1.5")]
    [InlineData("spec.memory_bytes=0xzz")]
    [InlineData("spec.memory_bytes=18446744073709551616")]
    [InlineData("spec.idle_mode=sideways")]
    [InlineData("spec.iommu.caching_mode=perhaps")]
    [InlineData("spec.iommu={")]
    [InlineData("spec.iommu=5")]
    [InlineData("spec.iommu={\"nonsense\":1}")]
    [InlineData("spec.iommu={\"profile\":1}")]
    [InlineData("spec.disks=5")]
    [InlineData("spec.disks+=5")]
    [InlineData("spec.disks.path=x")]
    [InlineData("spec.vcpus+=5")]
    [InlineData("spec.vcpus.more=5")]
    [InlineData("spec.cost.cycles+=5")]
    [InlineData("spec.cost.cycles={\"exit\":\"x\"}")]
    [InlineData("spec.boot.command_line=@/nonsense/file")]
    [InlineData("spec.boot.command_line=@\0")]
    [InlineData("name=ok spec.iommu={\"profile\":\"a\",\"profile\":\"b\"} spec.iommu.model=vtd")]
    [InlineData("spec.vcpus=5 spec=5")]
    [InlineData("spec.disks={} spec.disks+={}")]
    public void Bad_input_names_the_field(string words)
    {
        var last = words.Split(' ')[^1];
        var field = last.Split('=')[0].TrimEnd('+').Split('.')[^1];
        var said = Refused<CreateMachineRequest>(words.Split(' '));
        Assert.Contains(field.Length == 0 ? last : field, said);
        Assert.DoesNotContain('\n', said.TrimEnd());
    }

    [Fact]
    public void Two_of_a_choice_are_refused() => Assert.Contains(
        "stretch", Refused<RunMachineRequest>("virtual_time_ns=1", "instructions=1"));

    /// <summary>Words made of pieces that mean something: each is a message or one line that says why not.</summary>
    [Fact]
    public void No_words_end_in_anything_but_a_message_or_an_error_of_usage()
    {
        string[] pieces = ["spec", "name", ".", "=", "+=", "disks", "vcpus", "iommu", "{", "}", "[", "]", "\"", "null", "0x", "9999999999999999999999", "-", "@", "\\x", ":", ",", "é", "\0", "on", "cost", "cycles"];
        var random = new Random(11);
        for (var i = 0; i < 20_000; i++)
        {
            var words = Enumerable.Range(0, 1 + random.Next(3)).Select(_ => string.Concat(Enumerable.Range(0, 1 + random.Next(8)).Select(_ => pieces[random.Next(pieces.Length)]))).ToArray();
            try
            {
                Message<CreateMachineRequest>(words);
            }
            catch (UsageException)
            {
                // One line for people.
            }
        }
    }
}
