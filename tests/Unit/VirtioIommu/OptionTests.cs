using System.Text.RegularExpressions;
using Vmm.Specs.Virtio;
using Vmm.VirtioIommu;
using Xunit;

namespace Vmm.Unit.VirtioIommu;

/// <summary>Options that are refused, and the conformance table of the page.</summary>
public sealed class OptionTests
{
    static void Refused(string field, VirtioIommuOptions options) => Assert.Equal(field, Assert.Throws<ArgumentException>(options.Validate).ParamName);

    [Fact]
    public void A_mask_without_a_bit_is_refused() => Refused("PageSizeMask", new() { PageSizeMask = 0 });

    [Fact]
    public void Reserved_regions_that_overlap_or_a_second_MSI_region_are_refused()
    {
        new VirtioIommuOptions { Reserved = [ReservedRegion.X86Msi, new(0, 0xFFF, VirtioIommuReservedKind.Reserved)] }.Validate();
        Refused("Reserved", new() { Reserved = [new(0, 0xFFF, VirtioIommuReservedKind.Reserved), new(0xFFF, 0x1FFF, VirtioIommuReservedKind.Reserved)] });
        Refused("Reserved", new() { Reserved = [new(0xFEE0_0000, 0xFEE0_0FFF, VirtioIommuReservedKind.Msi), new(0xFEE0_1000, 0xFEE0_1FFF, VirtioIommuReservedKind.Msi)] });
        Refused("Reserved", new() { Reserved = [new(0x1000, 0x1FFF, VirtioIommuReservedKind.Msi)] });
        Refused("Reserved", new() { Reserved = [new(0x1000, 0xFFF, VirtioIommuReservedKind.Reserved)] });
    }

    [Fact]
    public void Limits_are_checked()
    {
        Refused("MaxDomains", new() { MaxDomains = 0 });
        Refused("MaxMappings", new() { MaxMappings = (1 << 22) + 1 });
        Refused("CacheEntries", new() { CacheEntries = 1000 });
        Refused("InputEnd", new() { InputStart = 0x1000, InputEnd = 0x1000 });
        Refused("DomainEnd", new() { DomainStart = 2, DomainEnd = 1 });
        Refused("ProbeSize", new() { ProbeSize = 23 });
        Refused("PhysicalAddressBits", new() { PhysicalAddressBits = 65 });
    }

    [Fact]
    public void Every_test_that_the_conformance_table_names_exists()
    {
        var at = new DirectoryInfo(AppContext.BaseDirectory);
        while (at is { Parent: not null } && !File.Exists(Path.Combine(at.FullName, "Vmm.sln")))
        {
            at = at.Parent;
        }

        var page = File.ReadAllText(Path.Combine(at!.FullName, "docs", "devices", "virtio-iommu.md"));
        var named = Regex.Matches(page[page.IndexOf("## Conformance", StringComparison.Ordinal)..], @"`(\w+Tests)\.(\w+)`").Select(m => (m.Groups[1].Value, m.Groups[2].Value)).ToArray();
        Assert.True(named.Length > 50);
        foreach (var (type, method) in named)
        {
            Assert.NotNull(typeof(OptionTests).Assembly.GetType($"Vmm.Unit.VirtioIommu.{type}")?.GetMethod(method));
        }
    }
}
