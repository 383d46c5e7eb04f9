using Google.Protobuf;
using Google.Protobuf.Reflection;
using Vmm.Api.V1;
using Vmm.Grpc.Client;

namespace Vmm.Cli;

/// <summary>A call of whatever kind from the command line.</summary>
internal interface ICtlCall
{
    /// <summary>Makes the call and writes what comes: JSON, a message a line in a stream, or only its bytes.</summary>
    Task RunAsync(IMessage request, bool raw, Stream output);
}

/// <summary>A call with messages of known types.</summary>
internal sealed class CtlCall<TRequest, TResponse>(GrpcChannel channel, MethodDescriptor method, TimeSpan? timeout) : ICtlCall
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>, new()
{
    static readonly JsonFormatter.Settings Plain = JsonFormatter.Settings.Default.WithPreserveProtoFieldNames(true)
        .WithTypeRegistry(TypeRegistry.FromFiles([.. CtlCommand.Files, Google.Rpc.ErrorDetailsReflection.Descriptor]));

    static readonly JsonFormatter Lines = new(Plain.WithFormatDefaultValues(false)), Pages = new(Plain.WithIndentation());

    /// <inheritdoc/>
    public async Task RunAsync(IMessage request, bool raw, Stream output)
    {
        var options = new CallOptions { Timeout = timeout };
        await using var call = method.IsClientStreaming
            ? channel.Open<TRequest, TResponse>(method, options)
            : channel.ServerStreaming<TRequest, TResponse>(method, (TRequest)request, options);
        if (method.IsClientStreaming)
        {
            await call.WriteAsync((TRequest)request).ConfigureAwait(false);
            if (request is AttachConsoleRequest)
            {
                _ = PumpAsync(call);
            }
            else
            {
                call.Complete();
            }
        }

        while (await call.MoveNext(CancellationToken.None).ConfigureAwait(false))
        {
            Print(call.Current, output, raw || request is AttachConsoleRequest);
        }
    }

    void Print(TResponse response, Stream output, bool raw)
    {
        if (raw && response.Descriptor.FindFieldByName("data") is { FieldType: FieldType.Bytes } bytes)
        {
            output.Write(((ByteString)bytes.Accessor.GetValue(response)).Span);
        }
        else
        {
            output.Write(System.Text.Encoding.UTF8.GetBytes((method.IsServerStreaming ? Lines : Pages).Format(response) + "\n"));
        }

        output.Flush();
    }

    /// <summary>What is typed goes to the guest.</summary>
    static Task PumpAsync(GrpcCall<TRequest, TResponse> call) => Task.Run(async () =>
    {
        try
        {
            using var input = Console.OpenStandardInput();
            var buffer = new byte[4096];
            for (int length; (length = await input.ReadAsync(buffer).ConfigureAwait(false)) > 0;)
            {
                await call.WriteAsync((TRequest)(IMessage)new AttachConsoleRequest { Input = ByteString.CopyFrom(buffer.AsSpan(0, length)) }).ConfigureAwait(false);
            }
        }
        catch (Exception gone) when (gone is Grpc.RpcException or IOException)
        {
            // The call has ended; its reader tells why.
        }
    });
}
