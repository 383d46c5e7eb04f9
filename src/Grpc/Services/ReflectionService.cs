using Google.Protobuf;
using Google.Protobuf.Reflection;
using Grpc.Reflection.V1;
using ErrorResponse = Grpc.Reflection.V1.ErrorResponse;
using V1Alpha = Grpc.Reflection.V1Alpha;

namespace Vmm.Grpc.Services;

/// <summary>
/// grpc.reflection v1 and v1alpha: the same messages on the wire, so one service under two names. Knows the files of
/// the services given, everything they import, and files whose messages travel as google.protobuf.Any.
/// </summary>
internal sealed class ReflectionService
{
    readonly Dictionary<string, FileDescriptor> files = new(StringComparer.Ordinal);
    readonly Dictionary<string, FileDescriptor> symbols = new(StringComparer.Ordinal);
    readonly SortedSet<string> services = new(StringComparer.Ordinal);

    public ReflectionService(IEnumerable<ServiceDescriptor> known, IEnumerable<FileDescriptor> more)
    {
        foreach (var service in known.Append(V1Service).Append(V1AlphaService))
        {
            services.Add(service.FullName);
            AddFile(service.File);
        }

        foreach (var file in more)
        {
            AddFile(file);
        }
    }

    static ServiceDescriptor V1Service => ReflectionReflection.Descriptor.Services[0];

    static ServiceDescriptor V1AlphaService => V1Alpha.ReflectionReflection.Descriptor.Services[0];

    public IEnumerable<MethodTable> Methods
    {
        get
        {
            var v1 = new MethodTable(V1Service)
                .DuplexStreaming<ServerReflectionRequest, ServerReflectionResponse>("ServerReflectionInfo", AnswerAsync);
            return [v1, v1.Alias(V1AlphaService)];
        }
    }

    async Task AnswerAsync(IAsyncStreamReader<ServerReflectionRequest> requests, IServerStreamWriter<ServerReflectionResponse> responses, ServerCallContext context)
    {
        while (await requests.MoveNext(context.CancellationToken).ConfigureAwait(false))
        {
            await responses.WriteAsync(Answer(requests.Current), context.CancellationToken).ConfigureAwait(false);
        }
    }

    ServerReflectionResponse Answer(ServerReflectionRequest request)
    {
        var response = new ServerReflectionResponse { ValidHost = request.Host, OriginalRequest = request };
        switch (request.MessageRequestCase)
        {
            case ServerReflectionRequest.MessageRequestOneofCase.FileByFilename:
                return With(response, files.GetValueOrDefault(request.FileByFilename), "file", request.FileByFilename);
            case ServerReflectionRequest.MessageRequestOneofCase.FileContainingSymbol:
                return With(response, symbols.GetValueOrDefault(request.FileContainingSymbol), "symbol", request.FileContainingSymbol);
            case ServerReflectionRequest.MessageRequestOneofCase.FileContainingExtension:
                return With(response, null, "extension of", request.FileContainingExtension.ContainingType);
            case ServerReflectionRequest.MessageRequestOneofCase.AllExtensionNumbersOfType:
                return WithExtensions(response, request.AllExtensionNumbersOfType);
            case ServerReflectionRequest.MessageRequestOneofCase.ListServices:
                response.ListServicesResponse = new ListServiceResponse { Service = { services.Select(s => new ServiceResponse { Name = s }) } };
                return response;
            default:
                return Fail(response, StatusCode.InvalidArgument, "no question");
        }
    }

    static ServerReflectionResponse With(ServerReflectionResponse response, FileDescriptor? file, string what, string name)
    {
        if (file == null)
        {
            return Fail(response, StatusCode.NotFound, $"no {what} '{RichStatus.Short(name)}'");
        }

        response.FileDescriptorResponse = new FileDescriptorResponse();
        var added = new HashSet<string>(StringComparer.Ordinal);
        AddWithImports(file, added, response.FileDescriptorResponse);
        return response;
    }

    /// <summary>proto3 has no extensions but those of options, which nobody asks for by reflection.</summary>
    ServerReflectionResponse WithExtensions(ServerReflectionResponse response, string type)
    {
        if (!symbols.ContainsKey(type))
        {
            return Fail(response, StatusCode.NotFound, $"no type '{RichStatus.Short(type)}'");
        }

        response.AllExtensionNumbersResponse = new ExtensionNumberResponse { BaseTypeName = type };
        return response;
    }

    static ServerReflectionResponse Fail(ServerReflectionResponse response, StatusCode code, string message)
    {
        response.ErrorResponse = new ErrorResponse { ErrorCode = (int)code, ErrorMessage = message };
        return response;
    }

    static void AddWithImports(FileDescriptor file, HashSet<string> added, FileDescriptorResponse response)
    {
        if (!added.Add(file.Name))
        {
            return;
        }

        response.FileDescriptorProto.Add(file.SerializedData);
        foreach (var import in file.Dependencies)
        {
            AddWithImports(import, added, response);
        }
    }

    void AddFile(FileDescriptor file)
    {
        if (!files.TryAdd(file.Name, file))
        {
            return;
        }

        foreach (var service in file.Services)
        {
            symbols.TryAdd(service.FullName, file);
            AddAll(service.Methods, file);
        }

        AddMessages(file.MessageTypes, file);
        AddEnums(file.EnumTypes, file);
        foreach (var import in file.Dependencies)
        {
            AddFile(import);
        }
    }

    void AddMessages(IEnumerable<MessageDescriptor> messages, FileDescriptor file)
    {
        foreach (var message in messages)
        {
            symbols.TryAdd(message.FullName, file);
            AddAll(message.Fields.InDeclarationOrder(), file);
            AddAll(message.Oneofs, file);
            AddMessages(message.NestedTypes, file);
            AddEnums(message.EnumTypes, file);
        }
    }

    void AddEnums(IEnumerable<EnumDescriptor> enums, FileDescriptor file)
    {
        foreach (var type in enums)
        {
            symbols.TryAdd(type.FullName, file);
            AddAll(type.Values, file);
        }
    }

    void AddAll(IEnumerable<IDescriptor> descriptors, FileDescriptor file)
    {
        foreach (var descriptor in descriptors)
        {
            symbols.TryAdd(descriptor.FullName, file);
        }
    }
}
