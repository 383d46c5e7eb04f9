using System.Text.Json.Nodes;
using Google.Protobuf.Reflection;
using Google.Rpc;
using Vmm.Api.V1;
using Vmm.ControlTests.Kit;
using Vmm.Grpc;
using Vmm.Grpc.Hosting;
using Xunit;

namespace Vmm.ControlTests.Clients;

/// <summary>buf: the API's rules, and a client that knows nothing of the server but what reflection tells.</summary>
public sealed class BufTests
{
    [SkippableFact]
    public void The_API_has_no_finding_of_lint()
    {
        var (code, output, error) = ClientPrograms.Buf("lint");
        Assert.Equal((0, "", ""), (code, output, error));
    }

    /// <summary>vmm/v1 as it was promised. After an addition: <c>buf build --path proto/vmm --exclude-source-info -o tests/Control/baseline/vmm.binpb</c>.</summary>
    static string Baseline => Path.Combine(ClientPrograms.Root, "tests", "Control", "baseline", "vmm.binpb");

    [SkippableFact]
    public void Nothing_of_v1_is_broken()
    {
        var (code, output, error) = ClientPrograms.Buf("breaking", "--against", Baseline);
        Assert.Equal((0, "", ""), (code, output, error));
    }

    [SkippableFact]
    public void The_baseline_has_all_of_v1()
    {
        using var folder = new TemporaryFolder();
        var now = folder.At("now.binpb");
        Assert.Equal(0, ClientPrograms.Buf("build", "--path", "proto/vmm", "--exclude-source-info", "-o", now).Code);
        var (code, output, error) = ClientPrograms.Buf("breaking", Baseline, "--against", now);
        Assert.Equal((0, "", ""), (code, output, error));
    }

    [SkippableTheory]
    [InlineData("uint64 iova = 3;", "uint64 iova = 30;", "Previously present field \"3\" with name \"iova\"")]
    [InlineData("uint64 iova = 3;", "uint32 iova = 3;", "changed type from \"uint64\" to \"uint32\"")]
    [InlineData("  rpc FlushIommu(FlushIommuRequest) returns (FlushIommuResponse);\n", "", "Previously present RPC \"FlushIommu\"")]
    public void A_broken_API_is_found(string old, string next, string finding)
    {
        using var folder = new TemporaryFolder();
        foreach (var file in Directory.EnumerateFiles(ClientPrograms.Protos, "*", SearchOption.AllDirectories))
        {
            var copy = folder.At(Path.Combine("proto", Path.GetRelativePath(ClientPrograms.Protos, file)));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            var text = File.ReadAllText(file);
            File.WriteAllText(copy, file.EndsWith("iommu.proto", StringComparison.Ordinal) ? text.Replace(old, next, StringComparison.Ordinal) : text);
        }

        File.Copy(Path.Combine(ClientPrograms.Root, "buf.yaml"), folder.At("buf.yaml"));
        var (code, output, _) = ClientPrograms.Buf("breaking", folder.At("."), "--against", Baseline);
        Assert.NotEqual(0, code);
        Assert.Contains(finding, output);
    }

    [SkippableTheory]
    [InlineData("grpc-v1")]
    [InlineData("grpc-v1alpha")]
    public async Task Reflection_lists_services_and_calls_one(string version)
    {
        await using var server = await TestServer.StartAsync();
        var (_, services, _) = Curl(server, "http://localhost", "--reflect-protocol", version, "--list-services");
        foreach (var name in new[] { "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection", "grpc.testing.TestService" })
        {
            Assert.Contains(name, services.Split('\n'));
        }

        var (code, output, _) = Curl(server, "http://localhost/grpc.health.v1.Health/Check", "--reflect-protocol", version, "-d", "{}");
        Assert.Equal((0, """{"status":"SERVING"}"""), (code, output.ReplaceLineEndings("").Replace(" ", "", StringComparison.Ordinal)));
    }

    [SkippableFact]
    public async Task An_error_comes_with_its_details()
    {
        var table = new MethodTable(CapabilityReflection.Descriptor.FindTypeByName<ServiceDescriptor>("CapabilityService"))
            .Unary<GetCapabilitiesRequest, GetCapabilitiesResponse>("GetCapabilities", (_, _) => throw RichStatus.Error(
                StatusCode.InvalidArgument, "two fields are wrong", new BadRequest
                {
                    FieldViolations =
                    {
                        new BadRequest.Types.FieldViolation { Field = "spec.memory.size", Description = "not a multiple of 4 KiB" },
                        new BadRequest.Types.FieldViolation { Field = "spec.vcpus", Description = "0" },
                    },
                }));
        await using var server = await TestServer.StartAsync(path => new ControlHostOptions { SocketPath = path, Services = [table] });
        var (code, _, error) = Curl(server, "http://localhost/vmm.v1.CapabilityService/GetCapabilities", "-d", "{}");
        Assert.NotEqual(0, code);
        var shown = JsonNode.Parse(error)!;
        Assert.Equal(("invalid_argument", "two fields are wrong"), ((string?)shown["code"], (string?)shown["message"]));
        var detail = shown["details"]![0]!;
        Assert.Equal("google.rpc.BadRequest", (string?)detail["type"]);
        var value = (string)detail["value"]!;
        var bad = BadRequest.Parser.ParseFrom(Convert.FromBase64String(value.PadRight((value.Length + 3) / 4 * 4, '=')));
        Assert.Equal(["spec.memory.size", "spec.vcpus"], bad.FieldViolations.Select(v => v.Field));
    }

    static (int Code, string Output, string Error) Curl(TestServer server, string url, params string[] arguments)
        => ClientPrograms.Buf(["curl", "--protocol", "grpc", "--http2-prior-knowledge", "--unix-socket", server.SocketPath, url, .. arguments]);
}
