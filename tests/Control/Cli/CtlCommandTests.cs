using System.CommandLine;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Vmm.Api.V1;
using Vmm.Cli;
using Vmm.ControlTests.Kit;
using Vmm.Grpc;
using Vmm.Grpc.Hosting;
using Xunit;

namespace Vmm.ControlTests.Cli;

/// <summary><c>vmm ctl</c> against a server that notes what it is asked and answers each method with an example.</summary>
public sealed class CtlCommandTests
{
    static readonly ServiceDescriptor[] Services =
        [.. typeof(MachineReflection).Assembly.GetTypes().Select(t => t.GetProperty("Descriptor")?.GetValue(null)).OfType<FileDescriptor>()
            .Where(f => f.Package is "vmm.v1" or "google.longrunning").SelectMany(f => f.Services)];

    public static TheoryData<string> Methods => [.. Services.SelectMany(s => s.Methods).Select(m => m.FullName)];

    [Fact]
    public void Every_service_has_its_commands_and_no_two_share_a_name()
    {
        Assert.Equal(
            Services.SelectMany(s => s.Methods).Select(m => CtlCommand.Kebab(m.Name)).Append("measure").Order(StringComparer.Ordinal),
            CtlCommand.Create().Subcommands.Select(c => c.Name).Order(StringComparer.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public async Task Every_method_is_reached_with_its_fields_and_its_answer_is_printed(string name)
    {
        var method = Services.SelectMany(s => s.Methods).Single(m => m.FullName == name);
        var echo = new Echo(method);
        await using var server = await TestServer.StartAsync(path => new ControlHostOptions { SocketPath = path, Services = [echo.Table] });
        var field = method.InputType.Fields.InFieldNumberOrder().FirstOrDefault(f => f is { FieldType: FieldType.String, IsRepeated: false });
        var (code, output, error) = Ctl(server, [CtlCommand.Kebab(method.Name), .. field == null ? Array.Empty<string>() : [$"{field.Name}=some text"]]);
        Assert.Equal((0, ""), (code, error));
        var request = Assert.Single(echo.Requests);
        Assert.Equal(field == null ? "" : "some text", field == null ? "" : field.Accessor.GetValue(request));
        if (method.Name == "AttachConsole")
        {
            // Always raw: it is a terminal.
            Assert.Equal("bytesbytes", output);
            return;
        }

        var lines = method.IsServerStreaming ? output.Split('\n', StringSplitOptions.RemoveEmptyEntries) : [output];
        Assert.Equal(method.IsServerStreaming ? 2 : 1, lines.Length);
        foreach (var line in lines)
        {
            Assert.Equal(echo.Answer, JsonParser.Default.Parse(JsonNode.Parse(line)!.ToJsonString(), method.OutputType));
        }
    }

    [Fact]
    public async Task Raw_writes_only_the_bytes()
    {
        var method = MemoryReflection.Descriptor.Services[0].FindMethodByName("ReadMemory");
        var echo = new Echo(method);
        await using var server = await TestServer.StartAsync(path => new ControlHostOptions { SocketPath = path, Services = [echo.Table] });
        var bytes = ((ReadMemoryResponse)echo.Answer).Data.ToStringUtf8();
        Assert.NotEmpty(bytes);
        Assert.Equal((0, bytes + bytes, ""), Ctl(server, "read-memory", "--raw"));
    }

    [Fact]
    public async Task An_error_of_a_call_is_one_line_and_exit_code_6()
    {
        var table = new MethodTable(MachineReflection.Descriptor.Services[0]).Unary<GetMachineRequest, GetMachineResponse>(
            "GetMachine", (r, _) => throw new RpcException(StatusCode.NotFound, $"no machine '{r.Name}'"));
        await using var server = await TestServer.StartAsync(path => new ControlHostOptions { SocketPath = path, Services = [table] });
        Assert.Equal((6, "", "vmm: GetMachine: NotFound: no machine 'x'\n"), Ctl(server, "get-machine", "name=x"));
        Assert.Equal(6, Ctl(server, "list-machines").Code);
        using var folder = new TemporaryFolder();
        Assert.Equal(6, Ctl("unix:" + folder.At("nobody"), "get-machine").Code);
    }

    [Fact]
    public void Bad_words_and_bad_servers_are_errors_of_usage()
    {
        Assert.Contains("nonsense", Assert.Throws<UsageException>(() => Ctl("unix:/nobody", "get-machine", "nonsense=1")).Message);
        Assert.Contains("--timeout", Assert.Throws<UsageException>(() => Ctl("unix:/nobody", "get-machine", "--timeout", "soon")).Message);
        Assert.StartsWith("ctl: ", Assert.Throws<UsageException>(() => Ctl("ftp://x", "get-machine")).Message);
        Assert.StartsWith("ctl: ", Assert.Throws<UsageException>(() => Ctl("unix:/nobody", "get-machine", "--token-file", "/nonsense/token")).Message);
    }

    static (int Code, string Output, string Error) Ctl(TestServer server, params string[] words) => Ctl("unix:" + server.SocketPath, words);

    static (int Code, string Output, string Error) Ctl(string server, params string[] words)
    {
        var output = new MemoryStream();
        var error = new StringWriter();
        var console = Console.Error;
        try
        {
            Console.SetError(error);
            var command = new RootCommand { CtlCommand.Create(() => output) };
            var code = command.Parse(["ctl", "--server", server, .. words]).Invoke(new() { EnableDefaultExceptionHandler = false, Error = error });
            return (code, System.Text.Encoding.UTF8.GetString(output.ToArray()), error.ToString());
        }
        finally
        {
            Console.SetError(console);
        }
    }

    /// <summary>Answers one method, of whatever kind, with an example; streams have it twice.</summary>
    sealed class Echo
    {
        readonly List<IMessage> requests = [];

        public Echo(MethodDescriptor method)
        {
            Answer = Example(method.OutputType, 3);
            Table = (MethodTable)typeof(Echo).GetMethod(nameof(Bind), System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Instance)!
                .MakeGenericMethod(method.InputType.ClrType, method.OutputType.ClrType).Invoke(this, [method])!;
        }

        public IMessage Answer { get; }

        public MethodTable Table { get; }

        public IReadOnlyList<IMessage> Requests => requests;

        MethodTable Bind<TRequest, TResponse>(MethodDescriptor method)
            where TRequest : class, IMessage<TRequest>, new()
            where TResponse : class, IMessage<TResponse>
        {
            var table = new MethodTable(method.Service);
            return (method.IsClientStreaming, method.IsServerStreaming) switch
            {
                (false, false) => table.Unary<TRequest, TResponse>(method.Name, (r, _) => Task.FromResult(Take<TRequest, TResponse>(r))),
                (false, true) => table.ServerStreaming<TRequest, TResponse>(method.Name, async (r, to, _) => await Twice(Take<TRequest, TResponse>(r), to)),
                (true, false) => table.ClientStreaming<TRequest, TResponse>(method.Name, async (from, c) =>
                {
                    await from.MoveNext(c.CancellationToken);
                    return Take<TRequest, TResponse>(from.Current);
                }),
                (true, true) => table.DuplexStreaming<TRequest, TResponse>(method.Name, async (from, to, c) =>
                {
                    await from.MoveNext(c.CancellationToken);
                    await Twice(Take<TRequest, TResponse>(from.Current), to);
                }),
            };
        }

        TResponse Take<TRequest, TResponse>(TRequest request)
            where TRequest : class, IMessage<TRequest>
            where TResponse : class, IMessage<TResponse>
        {
            requests.Add(request);
            return (TResponse)Answer;
        }

        static async Task Twice<T>(T answer, IServerStreamWriter<T> to)
            where T : class
        {
            await to.WriteAsync(answer, CancellationToken.None);
            await to.WriteAsync(answer, CancellationToken.None);
        }

        /// <summary>A message with something in every field that can be filled without knowing what it means.</summary>
        static IMessage Example(MessageDescriptor type, int depth)
        {
            var message = (IMessage)Activator.CreateInstance(type.ClrType)!;
            foreach (var field in type.Fields.InFieldNumberOrder().Where(f => !f.IsMap && (f.ContainingOneof == null || f.ContainingOneof.IsSynthetic)))
            {
                object? value = field.FieldType switch
                {
                    FieldType.String => "text \"é\"",
                    FieldType.Bytes => ByteString.CopyFromUtf8("bytes"),
                    FieldType.UInt32 => uint.MaxValue,
                    FieldType.UInt64 => ulong.MaxValue,
                    FieldType.Bool => true,
                    FieldType.Message when depth > 0 && field.MessageType.File.Package == "vmm.v1" => Example(field.MessageType, depth - 1),
                    _ => null,
                };
                if (value != null && field.IsRepeated)
                {
                    ((System.Collections.IList)field.Accessor.GetValue(message)).Add(value);
                }
                else if (value != null)
                {
                    field.Accessor.SetValue(message, value);
                }
            }

            return message;
        }
    }
}
