using Google.Protobuf.Reflection;
using Google.Rpc;
using Vmm.Api.V1;
using Vmm.Cli;
using Vmm.Control;
using Vmm.Grpc;
using Vmm.Machine;
using Xunit;

namespace Vmm.ControlTests.Cli;

/// <summary>The command line and the API read one table: what one takes the other takes, with the same meaning.</summary>
public sealed class DeviceSettingsTests
{
    static readonly string[] Values =
        ["on", "off", "true", "no", "perhaps", "0", "1", "16", "32", "39", "47", "48", "57", "64", "65", "128", "129", "1000", "4096", "65536", "65537", "4194304", "4194305", "-1", "1.5", "0x10", "ff", "xyz",
            "legacy", "Scalable", "strict", "lenient", "none", "vfio", "fffffffffffff000", "0", "fffffffffffffff0", "1000-1fff", "1000-1fff+5000-5fff", "1000-1fff+1800-1fff", "2000-1000", "verified", ""];

    static MachineConfig? FromOption(string text)
    {
        try
        {
            return new MachineConfig().WithIommu(text);
        }
        catch (UsageException)
        {
            return null;
        }
    }

    static MachineConfig? FromApi(IommuSpec spec, string field)
    {
        try
        {
            return new SpecReader(null).Read(new() { Iommu = spec }, "spec").Config;
        }
        catch (RpcException bad)
        {
            Assert.Equal(StatusCode.InvalidArgument, bad.StatusCode);
            Assert.All(((BadRequest)BadRequest.Descriptor.Parser.ParseFrom(RichStatus.Of(bad)!.Details[0].Value)).FieldViolations, v => Assert.StartsWith(field, v.Field));
            return null;
        }
    }

    [Fact]
    public void Every_field_of_the_messages_is_a_setting()
    {
        static void Same(MessageDescriptor message, IEnumerable<string?> fields, params string[] others) => Assert.Equal(
            message.Fields.InDeclarationOrder().Select(f => f.Name).Except(others).Order(StringComparer.Ordinal), fields.OfType<string>().Order(StringComparer.Ordinal));
        Same(IommuSpec.Descriptor, DeviceSettings.Vtd.All.Select(s => s.Field), "model", "virtio_options");
        Same(MachineCheckSpec.Descriptor, DeviceSettings.MachineCheck.All.Select(s => s.Field), "off");
        Same(EduSpec.Descriptor, DeviceSettings.Edu.All.Select(s => s.Field));
    }

    [Theory]
    [InlineData("on", null)]
    [InlineData("banks=5", "{\"banks\":5}")]
    [InlineData("cmci=off", "{\"cmci\":false}")]
    [InlineData("ser=off", "{\"recovery\":false}")]
    [InlineData("ser=on,lmce=off", "{\"recovery\":true,\"local\":false}")]
    [InlineData("off", "{\"off\":true}")]
    [InlineData("banks=0", "{\"banks\":0}")]
    [InlineData("banks=33", "{\"banks\":33}")]
    [InlineData("ser=off,lmce=on", "{\"recovery\":false,\"local\":true}")]
    public void Machine_checks_mean_the_same_to_both(string text, string? json)
    {
        Cpu.MachineCheck.MachineCheckOptions? option = null, api = null;
        string? refused = null;
        try
        {
            option = MachineCheckOption.Architecture(text);
        }
        catch (UsageException bad)
        {
            refused = bad.Message;
        }

        try
        {
            api = new SpecReader(null).Read(new() { MachineCheck = json == null ? null : MachineCheckSpec.Parser.ParseJson(json) }, "spec").Config.MachineCheck;
            Assert.Null(refused);
        }
        catch (RpcException)
        {
            Assert.NotNull(refused);
        }

        Assert.Equal(option, api);
    }

    [Theory]
    [InlineData("edu", "{}")]
    [InlineData("dma-mask=0xfff", "{\"dma_mask\":4095}")]
    [InlineData("dma-mask=4095,rogue=on", "{\"dma_mask\":4095,\"rogue\":true}")]
    public void The_edu_device_means_the_same_to_both(string text, string json) => Assert.Equal(
        DeviceOptions.Edu(text), new SpecReader(null).Read(new() { Edu = EduSpec.Parser.ParseJson(json) }, "spec").Config.Edu);

    [Fact]
    public void VT_d_means_the_same_to_both()
    {
        var taken = 0;
        foreach (var setting in DeviceSettings.Vtd.All.Where(s => s.Field != null))
        {
            var field = IommuSpec.Descriptor.FindFieldByName(setting.Field!);
            foreach (var value in Values)
            {
                var spec = new IommuSpec();
                object? typed = field.FieldType switch
                {
                    FieldType.Bool => value is "on" ? true : value is "off" ? false : null,
                    FieldType.UInt32 => uint.TryParse(value, out var number) ? number : null,
                    _ => value.Length == 0 ? null : value,
                };
                if (typed == null)
                {
                    continue;
                }

                field.Accessor.SetValue(spec, typed);
                var (option, api) = (FromOption($"vtd,{setting.Name}={value}"), FromApi(spec, $"spec.iommu.{setting.Field}"));
                Assert.Equal(option?.Vtd, api?.Vtd);
                taken += api == null ? 0 : 1;
            }
        }

        Assert.InRange(taken, 30, 200);
    }

    [Fact]
    public void Virtio_iommu_means_the_same_to_both()
    {
        var taken = 0;
        foreach (var setting in DeviceSettings.VirtioIommu.All)
        {
            foreach (var value in Values.Where(v => v.Length != 0))
            {
                var (option, api) = (
                    FromOption($"virtio,{setting.Name}={value}"), FromApi(new() { Model = "virtio", VirtioOptions = { { setting.Name, value } } }, "spec.iommu.virtio_options"));
                Assert.Equal(option?.VirtioIommu?.Reserved, api?.VirtioIommu?.Reserved);
                Assert.Equal(option == null, api == null);
                if (option != null)
                {
                    Assert.Equal(option.VirtioIommu! with { Reserved = [] }, api!.VirtioIommu! with { Reserved = [] });
                    taken++;
                }
            }
        }

        Assert.InRange(taken, 40, 200);
    }

    [Theory]
    [InlineData("vtd", "", true)]
    [InlineData("intel", "", true)]
    [InlineData("model=vtd", "", true)]
    [InlineData("virtio", "", true)]
    [InlineData("model=virtio-iommu", "", true)]
    [InlineData("smmu", "smmu", false)]
    [InlineData("vtd,cache=64", "cache", false)]
    [InlineData("virtio,cache=65", "cache", false)]
    [InlineData("vtd,aw-bits=47", "aw-bits", false)]
    [InlineData("vtd,pt=on,pt=off", "pt", false)]
    [InlineData("vtd,iotlb=100", "iotlb", false)]
    [InlineData("virtio,page-size-mask=fff", "page-size-mask", false)]
    [InlineData("virtio,reserved=1000", "reserved", false)]
    public void A_wrong_option_names_its_key(string text, string named, bool works)
    {
        if (works)
        {
            Assert.NotNull(FromOption(text));
        }
        else
        {
            Assert.Contains(named, Assert.Throws<UsageException>(() => new MachineConfig().WithIommu(text)).Message);
        }
    }

    [Fact]
    public void Everything_wrong_with_the_devices_of_a_description_is_named_at_once()
    {
        var spec = new MachineSpec
        {
            Iommu = new() { Model = "virtio", CachingMode = true, VirtioOptions = { { "cache", "5" }, { "nonsense", "1" } } },
            Disks =
            {
                new DiskSpec { SizeBytes = 4096, Driver = "scsi" }, new DiskSpec { SizeBytes = 4096, VirtioFeatures = { { "packed", true } } },
                new DiskSpec { SizeBytes = 4096, Driver = "virtio", VirtioFeatures = { { "multiqueue", true } } },
            },
        };
        var bad = Assert.Throws<RpcException>(() => new SpecReader(null).Read(spec, "spec"));
        Assert.Equal(
            ["spec.disks[0].driver", "spec.disks[1].virtio_features", "spec.disks[2].virtio_features[multiqueue]", "spec.iommu.caching_mode", "spec.iommu.virtio_options[cache]", "spec.iommu.virtio_options[nonsense]"],
            ((BadRequest)BadRequest.Descriptor.Parser.ParseFrom(RichStatus.Of(bad)!.Details[0].Value)).FieldViolations.Select(v => v.Field).Order(StringComparer.Ordinal));
    }
}
