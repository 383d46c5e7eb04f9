using Google.Protobuf;
using Vmm.Api.V1;
using Vmm.Control.Hosting;
using Vmm.Grpc;
using Vmm.Machine;

namespace Vmm.Control.Services;

/// <summary>vmm.v1.ConsoleService.</summary>
internal sealed class ConsoleService(MachineRegistry machines, WatcherSlots slots)
{
    const int LargestInput = 65536, LargestChunk = 256 << 10;

    /// <summary>The methods.</summary>
    public MethodTable Methods => new MethodTable(ConsoleReflection.Descriptor.Services[0])
        .DuplexStreaming<AttachConsoleRequest, AttachConsoleResponse>("AttachConsole", AttachAsync)
        .Unary<ExpectConsoleRequest, ExpectConsoleResponse>("ExpectConsole", ExpectAsync)
        .Unary<SendConsoleRequest, SendConsoleResponse>("SendConsole", SendAsync);

    async Task AttachAsync(IAsyncStreamReader<AttachConsoleRequest> requests, IServerStreamWriter<AttachConsoleResponse> responses, ServerCallContext context)
    {
        if (!await requests.MoveNext(context.CancellationToken).ConfigureAwait(false))
        {
            throw Errors.Invalid("machine", "the first request names the machine");
        }

        using var slot = slots.Take();
        var first = requests.Current;
        var host = machines.Get(first.Machine);
        Type(host, first.Input, context);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, context.Draining);
        var typing = TypeAllAsync(host, requests, context, ended);
        try
        {
            await FollowAsync(host, first.HasFromOffset ? first.FromOffset : host.Console.Written, responses, ended.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!context.CancellationToken.IsCancellationRequested)
        {
            // Bad input ended it, or the server drains; a client that has nothing to type goes on reading.
        }

        if (context.Draining.IsCancellationRequested)
        {
            throw Errors.Draining();
        }

        if (typing.IsCompleted)
        {
            await typing.ConfigureAwait(false);
        }
    }

    static async Task TypeAllAsync(MachineHost host, IAsyncStreamReader<AttachConsoleRequest> requests, ServerCallContext context, CancellationTokenSource ended)
    {
        try
        {
            while (await requests.MoveNext(context.CancellationToken).ConfigureAwait(false))
            {
                var request = requests.Current;
                if (request.Machine.Length != 0 && request.Machine != host.Name)
                {
                    throw Errors.Invalid("machine", "only the first request names the machine");
                }

                Type(host, request.Input, context);
            }
        }
        catch (RpcException)
        {
            await ended.CancelAsync().ConfigureAwait(false);
            throw;
        }
    }

    static async Task FollowAsync(MachineHost host, ulong position, IServerStreamWriter<AttachConsoleResponse> responses, CancellationToken cancellation)
    {
        while (true)
        {
            var changed = host.Console.Changed;
            var isClosed = host.Console.IsClosed;
            var chunk = host.Console.TryRead(ref position, LargestChunk);
            if (chunk.Data.Length != 0)
            {
                await responses.WriteAsync(
                    new() { Offset = chunk.Offset, Data = UnsafeByteOperations.UnsafeWrap(chunk.Data), Dropped = chunk.Dropped, VirtualTimeNs = host.Console.LastWrite }, cancellation).ConfigureAwait(false);
            }
            else if (isClosed)
            {
                return;
            }
            else
            {
                await changed.WaitAsync(cancellation).ConfigureAwait(false);
            }
        }
    }

    Task<SendConsoleResponse> SendAsync(SendConsoleRequest request, ServerCallContext context)
    {
        Type(machines.Get(request.Machine), request.Input, context);
        return Task.FromResult(new SendConsoleResponse());
    }

    static void Type(MachineHost host, ByteString input, ServerCallContext context)
    {
        if (input.Length > LargestInput)
        {
            throw Errors.Invalid("input", $"more than {LargestInput} bytes");
        }

        if (input.Length != 0 && !host.OfferInput(input.Span))
        {
            throw Errors.Exhausted("input", $"the guest of '{host.Name}' has not taken the bytes typed before");
        }
    }

    async Task<ExpectConsoleResponse> ExpectAsync(ExpectConsoleRequest request, ServerCallContext context)
    {
        using var slot = slots.Take();
        var seen = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var host = machines.Get(request.Machine);
        var watch = WatchOf(request, () =>
        {
            seen.TrySetResult();
            if (request.Run)
            {
                host.HaltHere(StopReason.Expected, "the console showed what was expected");
            }
        });
        var from = request.HasFromOffset ? request.FromOffset : (ulong?)null;
        using var over = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken);
        var waiting = await host.InvokeAsync(m => Begin(m, host, request, watch, from, over.Token), context.CancellationToken).ConfigureAwait(false);
        try
        {
            await Task.WhenAny(seen.Task, waiting).WaitAsync(context.CancellationToken).ConfigureAwait(false);
            if (request.Run)
            {
                await waiting.WaitAsync(context.CancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            await over.CancelAsync().ConfigureAwait(false);
            _ = EndAsync(host, watch, request.Run && context.CancellationToken.IsCancellationRequested);
        }

        return new()
        {
            Matched = watch.IsDone, Line = watch.Line, Offset = host.Console.Written, Machine = await host.LookAsync(context).ConfigureAwait(false),
        };
    }

    /// <summary>Starts watching; the task ends when the stretch of virtual time is over or the machine stops.</summary>
    static Task Begin(VirtualMachine machine, MachineHost host, ExpectConsoleRequest request, LineWatch watch, ulong? from, CancellationToken cancellation)
    {
        if (request.Run)
        {
            host.Require(MachineState.Created, MachineState.Paused);
        }
        else
        {
            host.Require(MachineState.Created, MachineState.Paused, MachineState.Running);
        }

        host.Console.Watch(watch, from);
        if (request.Send.Length != 0 && !machine.OfferInput(request.Send.Span))
        {
            host.Console.Unwatch(watch);
            throw Errors.Exhausted("send", "the guest has not taken the bytes typed before");
        }

        var limit = request.VirtualTimeNs == 0 ? ulong.MaxValue : machine.Now + Math.Min(ulong.MaxValue - machine.Now, machine.Clock.ToCycles(request.VirtualTimeNs, 1_000_000_000));
        if (watch.IsDone)
        {
            return Task.CompletedTask;
        }

        return request.Run ? host.Go(time: limit) : host.UntilAsync(limit, cancellation);
    }

    static async Task EndAsync(MachineHost host, LineWatch watch, bool halt)
    {
        try
        {
            await host.InvokeAsync(
                _ =>
                {
                    host.Console.Unwatch(watch);
                    return halt ? host.Halt(StopReason.Paused) : Task.CompletedTask;
                },
                CancellationToken.None).ConfigureAwait(false);
        }
        catch (RpcException)
        {
            // The machine is gone, and its console with it.
        }
    }

    static LineWatch WatchOf(ExpectConsoleRequest request, Action seen)
    {
        if (request.Send.Length > LargestInput)
        {
            throw Errors.Invalid("send", $"more than {LargestInput} bytes");
        }

        switch (request.PatternCase)
        {
            case ExpectConsoleRequest.PatternOneofCase.Text when request.Text.Length is > 0 and <= 1024:
                return new(request.Text, seen);
            case ExpectConsoleRequest.PatternOneofCase.Regex when request.Regex.Length is > 0 and <= 1024:
                try
                {
                    return LineWatch.ForRegex(request.Regex, seen);
                }
                catch (ArgumentException bad)
                {
                    throw Errors.Invalid("regex", bad.Message);
                }

            default:
                throw Errors.Invalid("pattern", "a text or a regular expression of 1 to 1024 characters is needed");
        }
    }
}
