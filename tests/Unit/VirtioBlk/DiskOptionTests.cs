using System.Text.RegularExpressions;
using Vmm.Cli;
using Vmm.Virtio;
using Xunit;

namespace Vmm.Unit.VirtioBlk;

/// <summary>What --disk says of virtio, options that are refused, and the tables of the pages.</summary>
public sealed class DiskOptionTests
{
    [Fact]
    public void A_disk_is_NVMe_unless_virtio_is_asked_for()
    {
        Assert.Null(DeviceOptions.Disk("size=1M", 0).Virtio);
        Assert.Equal(new VirtioOptions(), DeviceOptions.Disk("size=1M,driver=virtio", 0).Virtio);
    }

    [Fact]
    public void Each_feature_has_a_key()
    {
        var options = DeviceOptions.Disk(
            "size=1M,driver=virtio,packed=on,indirect=off,event-idx=off,queue-reset=off,notification-data=on,order-platform=on,access-platform=off", 0);
        Assert.Equal(
            new VirtioOptions
            {
                Packed = true, Indirect = false, EventIndex = false, RingReset = false, NotificationData = true, OrderPlatform = true, AccessPlatform = false,
            },
            options.Virtio);
    }

    [Theory]
    [InlineData("size=1M,driver=scsi")]
    [InlineData("size=1M,packed=on")]
    [InlineData("size=1M,driver=virtio,packed=maybe")]
    [InlineData("size=1M,driver=virtio,multiqueue=on")]
    public void Anything_else_is_refused(string text) => Assert.Throws<UsageException>(() => DeviceOptions.Disk(text, 0));

    [Fact]
    public void A_device_that_cannot_be_is_refused()
    {
        Assert.Throws<ArgumentException>(static () => new BlockBench(static o => o with { Queues = 65 }));
        Assert.Throws<ArgumentException>(static () => new BlockBench(static o => o with { QueueEntries = 100 }));
        Assert.Throws<ArgumentException>(static () => new BlockBench(static o => o with { BlockSize = 1024 }));
        Assert.Throws<ArgumentException>(static () => new BlockBench(static o => o with { SizeMax = 5000 }));
        Assert.Throws<ArgumentException>(static () => new BlockBench(static o => o with { Serial = new('x', 21) }));
        Assert.Throws<ArgumentException>(static () => new BlockBench(static o => o with { Transport = new() { Vectors = 257 } }));
        Assert.Throws<ArgumentException>(static () => new BlockBench(length: 100));
    }

    [Theory]
    [InlineData("virtio.md")]
    [InlineData("virtio-blk.md")]
    public void Every_test_that_a_page_names_exists(string page)
    {
        var at = new DirectoryInfo(AppContext.BaseDirectory);
        while (at is { Parent: not null } && !File.Exists(Path.Combine(at.FullName, "Vmm.sln")))
        {
            at = at.Parent;
        }

        var methods = typeof(DiskOptionTests).Assembly.GetTypes()
            .Where(static t => t.Namespace is "Vmm.Unit.Virtio" or "Vmm.Unit.VirtioBlk").SelectMany(static t => t.GetMethods()).Select(static m => m.Name).ToHashSet();
        var text = File.ReadAllText(Path.Combine(at!.FullName, "docs", "devices", page));
        var named = Regex.Matches(text, @"`(?:\w+Tests\.)?([A-Z]\w*_\w+)`").Select(static m => m.Groups[1].Value).ToArray();
        Assert.True(named.Length > 10);
        Assert.DoesNotContain(named, n => !methods.Contains(n));
    }
}
