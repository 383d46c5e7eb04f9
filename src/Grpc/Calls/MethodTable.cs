using Google.Protobuf;
using Google.Protobuf.Reflection;
using Vmm.Grpc.Serving;

namespace Vmm.Grpc;

/// <summary>
/// Which method of a service class answers which method of a service. Built from the descriptor: a name, a kind or a
/// type that does not agree with it fails at once with ArgumentException. A method that is not bound is UNIMPLEMENTED.
/// </summary>
public sealed class MethodTable(ServiceDescriptor service)
{
    readonly Dictionary<string, BoundMethod> methods = [];

    /// <summary>The service.</summary>
    public ServiceDescriptor Service { get; } = service;

    /// <summary>Names of methods that nothing is bound to.</summary>
    public IEnumerable<string> Unbound => Service.Methods.Select(m => m.Name).Where(n => !methods.ContainsKey(n));

    internal IEnumerable<BoundMethod> Methods => methods.Values;

    /// <summary>Binds a method with one message each way.</summary>
    public MethodTable Unary<TRequest, TResponse>(string name, UnaryMethod<TRequest, TResponse> method)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>
        => Bind(new BoundUnary<TRequest, TResponse>(Find<TRequest, TResponse>(name, false, false), method));

    /// <summary>Binds a method that answers with a stream.</summary>
    public MethodTable ServerStreaming<TRequest, TResponse>(string name, ServerStreamingMethod<TRequest, TResponse> method)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>
        => Bind(new BoundServerStreaming<TRequest, TResponse>(Find<TRequest, TResponse>(name, false, true), method));

    /// <summary>Binds a method that takes a stream.</summary>
    public MethodTable ClientStreaming<TRequest, TResponse>(string name, ClientStreamingMethod<TRequest, TResponse> method)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>
        => Bind(new BoundClientStreaming<TRequest, TResponse>(Find<TRequest, TResponse>(name, true, false), method));

    /// <summary>Binds a method with a stream each way.</summary>
    public MethodTable DuplexStreaming<TRequest, TResponse>(string name, DuplexStreamingMethod<TRequest, TResponse> method)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>
        => Bind(new BoundDuplexStreaming<TRequest, TResponse>(Find<TRequest, TResponse>(name, true, true), method));

    /// <summary>The same methods under the name of a service with the same messages on the wire.</summary>
    public MethodTable Alias(ServiceDescriptor other)
    {
        var table = new MethodTable(other);
        foreach (var (name, method) in methods)
        {
            table.methods.Add(name, method.Under(other.FindMethodByName(name) ?? throw Wrong(name, "is unknown")));
        }

        return table;
    }

    MethodTable Bind(BoundMethod method)
    {
        if (!methods.TryAdd(method.Descriptor.Name, method))
        {
            throw Wrong(method.Descriptor.Name, "is bound twice");
        }

        return this;
    }

    MethodDescriptor Find<TRequest, TResponse>(string name, bool clientStreaming, bool serverStreaming)
    {
        var method = Service.FindMethodByName(name) ?? throw Wrong(name, "is unknown");
        if (method.IsClientStreaming != clientStreaming || method.IsServerStreaming != serverStreaming)
        {
            throw Wrong(name, "is of another kind");
        }

        if (method.InputType.ClrType != typeof(TRequest) || method.OutputType.ClrType != typeof(TResponse))
        {
            throw Wrong(name, "has other types");
        }

        return method;
    }

    ArgumentException Wrong(string name, string why) => new($"{Service.FullName}.{name} {why}");
}
