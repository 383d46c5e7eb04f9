using System.Text.Json.Nodes;
using Vmm.Api.V1;
using Vmm.ControlTests.Kit;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.ControlTests.Machines;

/// <summary>
/// Clients of other makers each create a machine, boot Debian's kernel, follow its console, break the disk's next read and
/// see what the kernel says, inject a machine check and see it logged, read the ledger and shut down.
/// </summary>
public sealed class ForeignClientTests(ControlFixture control, ITestOutputHelper log) : IClassFixture<ControlFixture>
{
    static readonly string[] Steps = ["create", "boot", "console", "fault", "machine-check", "ledger", "shut-down"];

    [SkippableFact]
    public void Grpcio_drives_a_machine()
    {
        var set = control.SocketPath + ".protos";
        ClientPrograms.WriteDescriptorSet(
            set, MachineReflection.Descriptor, ConsoleReflection.Descriptor, FaultReflection.Descriptor, MachineCheckReflection.Descriptor, LedgerReflection.Descriptor,
            EventReflection.Descriptor);
        Check(ClientPrograms.Python("machine.py", control.Address, set, control.Images.Kernel, control.Images.Initrd));
    }

    [SkippableFact]
    public void Grpc_js_drives_a_machine() => Check(ClientPrograms.Node("machine.cjs", control.Address, ClientPrograms.Protos, control.Images.Kernel, control.Images.Initrd));

    void Check(string output)
    {
        log.WriteLine(output);
        foreach (var step in Steps)
        {
            Assert.Contains($"ok {step}\n", output);
        }
    }

    [SkippableFact]
    public void Buf_curl_drives_a_machine()
    {
        Call("Machine", "CreateMachine", $$"""
            {"name": "buf", "spec": {"memoryBytes": 268435456, "disks": [{"sizeBytes": 16777216}], "iommu": {},
             "boot": {"kernel": "{{control.Images.Kernel}}", "initrds": ["{{control.Images.Initrd}}"], "commandLine": "console=ttyS0 cryptomgr.notests iommu.strict=1"} } }
            """);
        Expect("""{"machine": "buf", "text": "READY", "run": true, "virtualTimeNs": "60000000000"}""");
        Call("Fault", "CreateFaultRule", """
            {"machine": "buf", "rule": {"name": "next-read", "match": {"device": "00:03.0", "opcode": 2, "count": 1}, "action": {"translation": {"reason": 5}}}}
            """);
        var send = Convert.ToBase64String("dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 iflag=direct\n"u8);
        Expect($$"""{"machine": "buf", "text": "DMAR: [DMA Write NO_PASID] Request device [00:03.0]", "run": true, "send": "{{send}}", "virtualTimeNs": "60000000000"}""");
        Call("MachineCheck", "InjectMachineCheckText", """
            {"machine": "buf", "text": "CPU 0 BANK 3\nSTATUS CORRECTED ADDRV MISCV 0x135\nADDR 0x29da000\nMISC 0x8c\n"}
            """);
        Expect("""{"machine": "buf", "text": "Machine check events logged", "run": true, "virtualTimeNs": "60000000000"}""");
        Assert.NotEmpty(Call("Ledger", "GetLedger", """{"machine": "buf"}""")["entries"]!.AsArray());
        Call("Console", "SendConsole", $$"""{"machine": "buf", "input": "{{Convert.ToBase64String("poweroff -f\n"u8)}}"}""");
        Call("Machine", "ResumeMachine", """{"name": "buf"}""");
        var ended = Call("Machine", "WaitMachine", """{"name": "buf", "stopped": true}""");
        Assert.Equal("STOP_REASON_POWER_OFF", (string?)ended["machine"]!["outcome"]!["reason"]);
        Call("Machine", "DeleteMachine", """{"name": "buf"}""");
    }

    [SkippableFact]
    public void Buf_curl_follows_a_measurement()
    {
        var started = Call("Measurement", "MeasureDma", """{"loads": ["request"], "iommus": ["vtd"], "policies": ["strict", "pool"], "profiles": ["comet-lake"]}""");
        var ended = Call("google.longrunning.Operations", "WaitOperation", $$"""{"name": "{{started["name"]}}", "timeout": "60s"}""");
        Assert.True((bool?)ended["done"]);
        Assert.Equal("type.googleapis.com/vmm.v1.MeasureDmaResponse", (string?)ended["response"]!["@type"]);
        Assert.Equal(["strict", "pool"], ended["response"]!["rows"]!.AsArray().Select(r => (string?)r!["point"]!["policy"]));
        Assert.Equal(2, (int?)ended["metadata"]!["done"]);
        Assert.Empty(Call("google.longrunning.Operations", "DeleteOperation", $$"""{"name": "{{started["name"]}}"}""").AsObject());
    }

    void Expect(string request) => Assert.True((bool?)Call("Console", "ExpectConsole", request)["matched"], request);

    JsonNode Call(string service, string method, string request)
    {
        var (code, output, error) = ClientPrograms.Buf(
            "curl", "--protocol", "grpc", "--http2-prior-knowledge", "--unix-socket", control.SocketPath, "-d", request, $"http://localhost/{(service.Contains('.') ? service : $"vmm.v1.{service}Service")}/{method}");
        log.WriteLine($"{method}: {code} {error}");
        Assert.True(code == 0, error);
        return JsonNode.Parse(output)!;
    }
}
