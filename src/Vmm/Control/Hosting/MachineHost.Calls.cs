using Vmm.Api.V1;
using Vmm.Grpc;
using Vmm.Machine;

namespace Vmm.Control.Hosting;

/// <content>What calls of services share.</content>
internal sealed partial class MachineHost
{
    /// <summary>The machine as it is between two turns.</summary>
    public Task<Api.V1.Machine> LookAsync(ServerCallContext context) => InvokeAsync(_ => Describe(), context.CancellationToken);

    /// <summary>Checks the state. On the machine's thread.</summary>
    /// <exception cref="RpcException">FAILED_PRECONDITION.</exception>
    public void Require(params ReadOnlySpan<MachineState> states)
    {
        if (!states.Contains(state))
        {
            throw Errors.Precondition("STATE", Name, $"machine '{Name}' is {NameOf(state)}, not {string.Join(" or ", states.ToArray().Select(NameOf))}");
        }
    }

    /// <summary>Checks that nobody was faster. On the machine's thread.</summary>
    /// <exception cref="RpcException">ABORTED.</exception>
    public void RequireGeneration(ulong expected)
    {
        if (expected != 0 && expected != generation)
        {
            throw Errors.Lost("GENERATION_CHANGED", $"machine '{Name}' is at generation {generation}, not {expected}");
        }
    }

    /// <summary>Starts a run and waits for its end. A caller that gives up pauses the machine.</summary>
    public async Task RunAsync(Func<VirtualMachine, Task> start, CancellationToken cancellation)
    {
        var run = await InvokeAsync(start, cancellation).ConfigureAwait(false);
        try
        {
            await run.WaitAsync(cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            _ = InvokeAsync(_ => run.IsCompleted ? Task.CompletedTask : Halt(StopReason.Paused), CancellationToken.None);
            throw;
        }
    }

    static string NameOf(MachineState state) => state.ToString().ToUpperInvariant();
}
