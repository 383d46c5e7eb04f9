using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Vmm.Control.Operations;
using Vmm.Grpc;
using Xunit;

namespace Vmm.ControlTests.Hosting;

public sealed class OperationRegistryTests
{
    readonly OperationRegistry operations = new("e", 2);

    sealed class Work(Func<Func<bool>, IMessage> run) : ILongWork
    {
        public IMessage Metadata => new StringValue { Value = "progress" };

        public IMessage Run(Func<bool> isCancelled) => run(isCancelled);
    }

    async Task<Google.LongRunning.Operation> Ended(Func<Func<bool>, IMessage> run)
    {
        var operation = operations.Start(new Work(run));
        await operation.Ended;
        return operation.Describe();
    }

    [Fact]
    public async Task Every_end_of_work_is_a_result()
    {
        var good = await Ended(_ => new Int32Value { Value = 5 });
        Assert.Equal((true, 5, "progress"), (good.Done, good.Response.Unpack<Int32Value>().Value, good.Metadata.Unpack<StringValue>().Value));
        foreach (var (thrown, code, words) in new (Exception, StatusCode, string)[]
        {
            (new OperationCanceledException("secret"), StatusCode.Cancelled, "cancelled by a call"),
            (new RpcException(StatusCode.OutOfRange, "words"), StatusCode.OutOfRange, "words"),
            (new InvalidOperationException("secret"), StatusCode.Internal, "the operation failed"),
            (new InsufficientMemoryException("secret"), StatusCode.ResourceExhausted, "the host has no memory left for this operation"),
        })
        {
            var bad = await Ended(_ => throw thrown);
            Assert.Equal((true, (int)code, words), (bad.Done, bad.Error.Code, bad.Error.Message));
        }
    }

    [Fact]
    public async Task The_latest_that_are_done_are_kept()
    {
        for (var i = 0; i < OperationRegistry.Kept + 10; i++)
        {
            await Ended(_ => new Empty());
        }

        // The one that starts makes room.
        Assert.InRange(operations.After(0).Length, OperationRegistry.Kept, OperationRegistry.Kept + 1);
        Assert.Throws<RpcException>(() => operations.Get("operations/e-1"));
        Assert.Equal("operations/e-74", operations.Get("operations/e-74").Name);
        Assert.Throws<RpcException>(() => operations.Get("operations/f-74"));
    }

    [Fact]
    public async Task Draining_cancels_what_runs_and_takes_nothing_new()
    {
        var operation = operations.Start(new Work(isCancelled =>
        {
            SpinWait.SpinUntil(isCancelled);
            throw new OperationCanceledException();
        }));
        Assert.Equal((1, false), (operations.Running, operation.IsDone));
        await operations.DrainAsync();
        Assert.Equal((0, (int)StatusCode.Cancelled), (operations.Running, operation.Describe().Error.Code));
        Assert.Equal(StatusCode.Unavailable, Assert.Throws<RpcException>(() => operations.Start(new Work(_ => new Empty()))).StatusCode);
    }
}
