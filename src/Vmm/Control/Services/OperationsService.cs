using System.Globalization;
using Google.LongRunning;
using Google.Protobuf.WellKnownTypes;
using Vmm.Control.Operations;
using Vmm.Grpc;

namespace Vmm.Control.Services;

/// <summary>google.longrunning.Operations.</summary>
internal sealed class OperationsService(OperationRegistry operations)
{
    const int LargestPage = 100;

    /// <summary>The methods.</summary>
    public MethodTable Methods => new MethodTable(Google.LongRunning.OperationsReflection.Descriptor.Services[0])
        .Unary<GetOperationRequest, Operation>("GetOperation", (r, _) => Task.FromResult(operations.Get(r.Name).Describe()))
        .Unary<ListOperationsRequest, ListOperationsResponse>("ListOperations", (r, _) => Task.FromResult(List(r)))
        .Unary<CancelOperationRequest, Empty>("CancelOperation", (r, _) =>
        {
            operations.Get(r.Name).Cancel();
            return Task.FromResult(new Empty());
        })
        .Unary<DeleteOperationRequest, Empty>("DeleteOperation", (r, _) =>
        {
            operations.Delete(r.Name);
            return Task.FromResult(new Empty());
        })
        .Unary<WaitOperationRequest, Operation>("WaitOperation", WaitAsync);

    ListOperationsResponse List(ListOperationsRequest request)
    {
        var after = 0ul;
        var violations = new Violations();
        violations.Require(request.Name is "" or OperationRegistry.Collection, "name", $"'{OperationRegistry.Collection}' or empty");
        violations.Require(request.Filter is "" or "done=true" or "done=false", "filter", "done=true, done=false or empty");
        violations.Require(request.PageSize is >= 0 and <= LargestPage, "page_size", $"0 to {LargestPage}");
        violations.Require(
            request.PageToken.Length == 0 || ulong.TryParse(request.PageToken, NumberStyles.None, CultureInfo.InvariantCulture, out after), "page_token", "not a token of this method");
        violations.Throw();
        var size = request.PageSize == 0 ? LargestPage : request.PageSize;
        var found = operations.After(after).Where(o => request.Filter.Length == 0 || o.IsDone == (request.Filter == "done=true")).Take(size + 1).ToList();
        return new()
        {
            Operations = { found.Take(size).Select(o => o.Describe()) },
            NextPageToken = found.Count > size ? found[size - 1].Number.ToString(CultureInfo.InvariantCulture) : "",
        };
    }

    async Task<Operation> WaitAsync(WaitOperationRequest request, ServerCallContext context)
    {
        // Durations of protobuf reach further than those of the host; the smallest and largest of these are enough.
        var seconds = request.Timeout is { } timeout ? timeout.Seconds + timeout.Nanos / 1e9 : double.PositiveInfinity;
        if (seconds < 0 || request.Timeout is { Nanos: < 0 or > 999_999_999 })
        {
            throw Errors.Invalid("timeout", "a duration that is not negative");
        }

        var operation = operations.Get(request.Name);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, context.Draining);
        try
        {
            await operation.Ended.WaitAsync(seconds > 1e6 ? Timeout.InfiniteTimeSpan : TimeSpan.FromSeconds(seconds), ending.Token).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // The latest state is the answer.
        }
        catch (OperationCanceledException) when (!context.CancellationToken.IsCancellationRequested)
        {
            throw Errors.Draining();
        }

        return operation.Describe();
    }
}
