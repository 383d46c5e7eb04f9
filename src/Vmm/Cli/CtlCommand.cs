using System.CommandLine;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Vmm.Api.V1;
using Vmm.Grpc;
using Vmm.Grpc.Client;

namespace Vmm.Cli;

/// <summary><c>vmm ctl</c>: every method of the API as a command, made from the API's own descriptors.</summary>
internal static class CtlCommand
{
    /// <summary>The API.</summary>
    internal static readonly FileDescriptor[] Files =
    [
        MachineReflection.Descriptor, ConsoleReflection.Descriptor, MemoryReflection.Descriptor, SnapshotReflection.Descriptor, DeviceReflection.Descriptor,
        IommuReflection.Descriptor, FaultReflection.Descriptor, MachineCheckReflection.Descriptor, LedgerReflection.Descriptor, EventReflection.Descriptor,
        CapabilityReflection.Descriptor, MeasurementReflection.Descriptor, Google.LongRunning.OperationsReflection.Descriptor,
    ];

    /// <summary>Builds the command.</summary>
    /// <param name="open">Opens where answers go; null: standard output.</param>
    public static Command Create(Func<Stream>? open = null)
    {
        var server = new Option<string>("--server") { Description = "unix:PATH or http://127.0.0.1:PORT", DefaultValueFactory = _ => "unix:" + ServeCommand.DefaultSocket, Recursive = true };
        var token = new Option<string?>("--token-file") { Description = "file with the token of a TCP server", Recursive = true };
        var timeout = new Option<string?>("--timeout") { Description = "host time limit of the call: 60s", Recursive = true };
        var raw = new Option<bool>("--raw") { Description = "write only the bytes of the answer: console text, memory", Recursive = true };
        var command = new Command("ctl", "Control machines of a vmm serve") { server, token, timeout, raw };
        foreach (var method in Files.SelectMany(f => f.Services).SelectMany(s => s.Methods))
        {
            var fields = new Argument<string[]>("field=value") { Description = Fields(method.InputType), Arity = ArgumentArity.ZeroOrMore };
            var call = new Command(Kebab(method.Name), $"{method.Service.Name}: {Fields(method.InputType)}") { fields };
            call.SetAction(result => Run(
                method, result.GetValue(fields) ?? [], result.GetValue(server)!, result.GetValue(token),
                result.GetValue(timeout) is { } t ? OptionText.Duration("--timeout", t) : null, result.GetValue(raw), open ?? Console.OpenStandardOutput));
            command.Add(call);
        }

        command.Add(CtlMeasure.Create(server, token));
        return command;
    }

    internal static string Fields(MessageDescriptor type) => string.Join(' ', type.Fields.InDeclarationOrder().Select(f => f.Name + (f.IsRepeated ? "+=" : "=")));

    /// <summary>A method's name as a command.</summary>
    internal static string Kebab(string name) => string.Concat(name.Select((c, i) => char.IsUpper(c) ? (i == 0 ? "" : "-") + char.ToLowerInvariant(c) : $"{c}"));

    static int Run(MethodDescriptor method, string[] fields, string server, string? tokenFile, TimeSpan? timeout, bool raw, Func<Stream> open)
    {
        var request = FieldText.Message(method.InputType, fields);
        return Connected(method.Name, server, tokenFile, async channel =>
        {
            var call = (ICtlCall)Activator.CreateInstance(typeof(CtlCall<,>).MakeGenericType(method.InputType.ClrType, method.OutputType.ClrType), channel, method, timeout)!;
            await using var output = open();
            await call.RunAsync(request, raw, output).ConfigureAwait(false);
            return ExitCode.Pass;
        });
    }

    /// <summary>Does something with a channel; errors of calls become one line and an exit code.</summary>
    internal static int Connected(string name, string server, string? tokenFile, Func<GrpcChannel, Task<int>> work)
    {
        try
        {
            using var channel = new GrpcChannel(server, tokenFile == null ? null : File.ReadAllText(tokenFile).Trim());
            return work(channel).GetAwaiter().GetResult();
        }
        catch (RpcException error)
        {
            Console.Error.WriteLine($"vmm: {name}: {error.Status.Code}: {error.Status.Detail}");
            return ExitCode.ControlPlane;
        }
        catch (Exception bad) when (bad is ArgumentException or IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"ctl: {bad.Message}");
        }
    }
}
