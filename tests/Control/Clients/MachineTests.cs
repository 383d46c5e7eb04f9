using Vmm.Api.V1;
using Vmm.ControlTests.Kit;
using Vmm.Firmware.Initrd;
using Vmm.Guests.Kit;
using Xunit;

namespace Vmm.ControlTests.Clients;

/// <summary>
/// Clients that others wrote lead Debian's kernel through a life: create, boot, follow the console, inject a DMA fault on
/// the disk's next read and a machine check and read what the kernel says, read the ledger, shut down.
/// </summary>
public sealed class MachineTests(MachineTests.Server server) : IClassFixture<MachineTests.Server>
{
    static readonly string[] Steps = ["ok create", "ok boot", "ok console", "ok fault", "ok machine-check", "ok ledger", "ok shut-down"];

    [SkippableFact]
    public void A_machines_life_with_grpc_js()
        => Assert.Equal([.. Steps[..^1], "ok fork", Steps[^1]], Lines(ClientPrograms.Node("machine.cjs", server.Address, ClientPrograms.Protos, server.Kernel, server.Initrd)));

    [SkippableFact]
    public void A_machines_life_with_grpcio()
        => Assert.Equal(Steps, Lines(ClientPrograms.Python("machine.py", server.Address, server.Descriptors, server.Kernel, server.Initrd)));

    [SkippableFact]
    public void A_machines_life_with_buf_curl()
    {
        var curl = new BufCurl(server.SocketPath);
        curl.Call("MachineService/CreateMachine", $$"""
            {"name":"buf","spec":{"memory_bytes":{{256 << 20}},"boot":{"kernel":"{{server.Kernel}}","initrds":["{{server.Initrd}}"],
             "command_line":"console=ttyS0 cryptomgr.notests iommu.strict=1"},"disks":[{"size_bytes":{{16 << 20}} }],"iommu":{} } }
            """);
        curl.Call("MachineService/StartMachine", """{"name":"buf"}""");
        Expect(curl, "READY", ""","from_offset":0""");
        var booted = Here(curl);
        curl.Call("FaultService/CreateFaultRule", """
            {"machine":"buf","rule":{"name":"next-read","match":{"device":"00:03.0","opcode":2,"direction":"FAULT_DIRECTION_WRITE","count":1},"action":{"translation":{"reason":5}}}}
            """);
        Expect(curl, "DMAR: [DMA Write NO_PASID] Request device [00:03.0]", $$""","from_offset":"{{booted}}","send":"{{Base64("dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 iflag=direct\n")}}" """);
        Assert.Equal("next-read", (string?)curl.Call("FaultService/ListFiredFaults", """{"machine":"buf"}""")["firings"]![0]!["rule"]);
        var before = Here(curl);
        curl.Call("MachineCheckService/InjectMachineCheckText", """{"machine":"buf","text":"CPU 0 BANK 3\nSTATUS CORRECTED ADDRV MISCV 0x135\nADDR 0x29da000\nMISC 0x8c\n"}""");
        Expect(curl, "Machine check events logged", $$""","from_offset":"{{before}}" """);
        Assert.NotEmpty(curl.Call("LedgerService/GetLedger", """{"machine":"buf"}""")["entries"]!.AsArray());
        curl.Call("ConsoleService/SendConsole", $$"""{"machine":"buf","input":"{{Base64("poweroff -f\n")}}"}""");
        Assert.Equal("STOP_REASON_POWER_OFF", (string?)curl.Call("MachineService/WaitMachine", """{"name":"buf","stopped":true}""")["machine"]!["outcome"]!["reason"]);
        curl.Call("MachineService/DeleteMachine", """{"name":"buf"}""");
    }

    static void Expect(BufCurl curl, string text, string more)
    {
        var answer = curl.Call("ConsoleService/ExpectConsole", $$"""{"machine":"buf","text":"{{text}}","virtual_time_ns":60000000000{{more}}}""");
        Assert.True((bool?)answer["matched"], $"'{text}' was not seen: {answer}");
    }

    /// <summary>The machine runs on while calls are under way: what is expected is looked for from here on.</summary>
    static string Here(BufCurl curl) => (string?)curl.Call("MachineService/GetMachine", """{"name":"buf"}""")["machine"]!["consoleBytes"] ?? "0";

    static string Base64(string text) => Convert.ToBase64String(System.Text.Encoding.ASCII.GetBytes(text));

    static string[] Lines(string output) => output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary><c>vmm serve</c> with Debian's generic kernel and a shell on its console.</summary>
    public sealed class Server : IDisposable
    {
        static readonly string[] Modules = ["crct10dif_common", "crct10dif_generic", "crc-t10dif", "crc64", "crc64_rocksoft_generic", "crc64-rocksoft", "t10-pi", "nvme-core", "nvme"];

        const string Init = """
            #!/bin/sh
            mount -t proc proc /proc
            mount -t sysfs sysfs /sys
            mount -t devtmpfs dev /dev
            . /lib/modules/load
            for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/nvme0n1 ] || sleep 0.1; done
            echo READY
            exec sh
            """;

        readonly TemporaryFolder folder = new();
        readonly ServeProcess? process;
        readonly Exception? absent;

        public Server()
        {
            try
            {
                var kernel = DebianArchive.Get(DebianArchive.Resolve("linux-image-amd64"));
                File.WriteAllBytes(folder.At("vmlinuz"), kernel.Extract(p => p.Contains("boot/vmlinuz", StringComparison.Ordinal)).Single().Content.ToArray());
                File.WriteAllBytes(folder.At("initrd"), new BusyboxInitrd { Busybox = DebianArchive.Get("busybox-static"), Init = Init, Modules = KernelModules.Extract(kernel, Modules) }.Pack());
                ClientPrograms.WriteDescriptorSet(folder.At("protos"), MachineReflection.Descriptor, ConsoleReflection.Descriptor, FaultReflection.Descriptor,
                    MachineCheckReflection.Descriptor, LedgerReflection.Descriptor, EventReflection.Descriptor);
                process = ServeProcess.Start("--socket", folder.At("s"), "--root", Path.GetDirectoryName(folder.At("s"))!);
            }
            catch (SkipException reason)
            {
                absent = reason;
            }
        }

        public string SocketPath => absent == null ? folder.At("s") : throw absent;

        public string Address => "unix:" + SocketPath;

        public string Kernel => folder.At("vmlinuz");

        public string Initrd => folder.At("initrd");

        public string Descriptors => folder.At("protos");

        public void Dispose()
        {
            try
            {
                Assert.Equal(0, process?.Stop() ?? 0);
            }
            finally
            {
                folder.Dispose();
            }
        }
    }
}
