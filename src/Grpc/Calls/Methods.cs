namespace Vmm.Grpc;

/// <summary>One message in, one out.</summary>
public delegate Task<TResponse> UnaryMethod<TRequest, TResponse>(TRequest request, ServerCallContext context);

/// <summary>One message in, a stream out.</summary>
public delegate Task ServerStreamingMethod<TRequest, TResponse>(TRequest request, IServerStreamWriter<TResponse> responses, ServerCallContext context);

/// <summary>A stream in, one message out.</summary>
public delegate Task<TResponse> ClientStreamingMethod<TRequest, TResponse>(IAsyncStreamReader<TRequest> requests, ServerCallContext context);

/// <summary>A stream in, a stream out.</summary>
public delegate Task DuplexStreamingMethod<TRequest, TResponse>(IAsyncStreamReader<TRequest> requests, IServerStreamWriter<TResponse> responses, ServerCallContext context);
