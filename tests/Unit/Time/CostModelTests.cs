using System.Text;
using Vmm.Platform.Time;
using Xunit;

namespace Vmm.Unit.Time;

public sealed class CostModelTests
{
    static CostModel Parse(string json) => CostProfiles.Parse(Encoding.UTF8.GetBytes(json));

    [Fact]
    public void The_built_in_profiles_price_every_kind()
    {
        Assert.Equal(["comet-lake", "haswell", "sandy-bridge", "skylake-sp"], CostProfiles.Names);
        foreach (var name in CostProfiles.Names)
        {
            var model = CostProfiles.Get(name);
            Assert.Equal(name, model.Profile);
            Assert.All(Enumerable.Range(0, CostKinds.Priced), i => Assert.InRange(model[(CostKind)i], 1ul, CostModel.Limit));
            Assert.Equal(ExitHandler.Kernel, model.HandlerOf("lapic"));
            Assert.Equal(ExitHandler.User, model.HandlerOf("uart0"));
        }
    }

    [Fact]
    public void The_measured_reads_of_CR4_are_in_the_profiles()
    {
        Assert.Equal(24ul, CostProfiles.Get("haswell")[CostKind.Cr4Read]);
        Assert.Equal(36ul, CostProfiles.Get("sandy-bridge")[CostKind.Cr4Read]);
    }

    [Fact]
    public void Keys_name_their_kind()
    {
        Assert.All(CostKinds.PricedKeys, key => Assert.True(CostKinds.TryParse(key, out var kind) && kind.Key() == key));
        Assert.Equal("mmio-user", CostKind.MmioUser.Key());
        Assert.False(CostKinds.TryParse("stall", out _));
        Assert.False(CostKinds.TryParse("idle", out _));
    }

    [Fact]
    public void A_file_on_a_base_changes_only_what_it_gives()
    {
        var model = Parse("""{ "name": "mine", "base": "haswell", "kernel-devices": ["lapic"], "costs": { "mmio-user": 9 } }""");
        Assert.Equal("mine", model.Profile);
        Assert.Equal(9ul, model[CostKind.MmioUser]);
        Assert.Equal(CostProfiles.Get("haswell")[CostKind.Cpuid], model[CostKind.Cpuid]);
        Assert.Equal(ExitHandler.User, model.HandlerOf("pit"));
    }

    [Theory]
    [InlineData("{", "json: ")]
    [InlineData("[]", "json: the profile is not an object")]
    [InlineData("""{ "name": "x" }""", "costs.instruction: is missing")]
    [InlineData("""{ "costs": { } }""", "name: is missing")]
    [InlineData("""{ "base": "core2" }""", "profile: 'core2' is not comet-lake, haswell, sandy-bridge, skylake-sp")]
    [InlineData("""{ "base": "haswell", "cost": { } }""", "cost: is not a field of a profile")]
    [InlineData("""{ "base": "haswell", "costs": 1 }""", "costs: is not an object")]
    [InlineData("""{ "base": "haswell", "costs": { "mmio": 1 } }""", "costs.mmio: is not a cost")]
    [InlineData("""{ "base": "haswell", "costs": { "stall": 1 } }""", "costs.stall: is not a cost")]
    [InlineData("""{ "base": "haswell", "costs": { "cpuid": "a" } }""", "costs.cpuid: \"a\" is not a number of cycles")]
    [InlineData("""{ "base": "haswell", "costs": { "cpuid": -1 } }""", "costs.cpuid: -1 is not a number of cycles")]
    [InlineData("""{ "base": "haswell", "costs": { "cpuid": 10000001 } }""", "costs.cpuid: 10000001 is not 0 to 10000000 cycles")]
    [InlineData("""{ "base": "haswell", "costs": { "instruction": 0 } }""", "costs.instruction: 0 is not 1 to 1000 cycles")]
    [InlineData("""{ "base": "haswell", "kernel-devices": "pit" }""", "kernel-devices: is not a list")]
    public void A_bad_file_is_refused_and_the_field_named(string json, string message)
    {
        var bad = Assert.Throws<CostException>(() => Parse(json));
        Assert.StartsWith(message, bad.Message);
    }
}
