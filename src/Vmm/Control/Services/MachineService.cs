using Vmm.Api.V1;
using Vmm.Control.Hosting;
using Vmm.Cpu.State;
using Vmm.Grpc;
using Vmm.Machine;
using StopReason = Vmm.Api.V1.StopReason;

namespace Vmm.Control.Services;

/// <summary>vmm.v1.MachineService.</summary>
internal sealed class MachineService(MachineRegistry machines, PathPolicy paths)
{
    const ulong LongestStep = 1_000_000;

    const int MostPageBytes = GrpcLimits.DefaultMaxMessage / 2;

    /// <summary>The methods.</summary>
    public MethodTable Methods => new MethodTable(MachineReflection.Descriptor.Services[0])
        .Unary<CreateMachineRequest, CreateMachineResponse>("CreateMachine", CreateAsync)
        .Unary<GetMachineRequest, GetMachineResponse>("GetMachine", async (r, c) => new() { Machine = await machines.Get(r.Name).LookAsync(c).ConfigureAwait(false) })
        .Unary<ListMachinesRequest, ListMachinesResponse>("ListMachines", ListAsync)
        .Unary<DeleteMachineRequest, DeleteMachineResponse>("DeleteMachine", DeleteAsync)
        .Unary<StartMachineRequest, StartMachineResponse>("StartMachine", async (r, c) => new()
        {
            Machine = await GoAsync(r.Name, r.Generation, c, MachineState.Created).ConfigureAwait(false),
        })
        .Unary<PauseMachineRequest, PauseMachineResponse>("PauseMachine", async (r, c) => new()
        {
            Machine = await HaltAsync(r.Name, r.Generation, c, StopReason.Paused, MachineState.Running).ConfigureAwait(false),
        })
        .Unary<ResumeMachineRequest, ResumeMachineResponse>("ResumeMachine", async (r, c) => new()
        {
            Machine = await GoAsync(r.Name, r.Generation, c, MachineState.Paused).ConfigureAwait(false),
        })
        .Unary<ResetMachineRequest, ResetMachineResponse>("ResetMachine", ResetAsync)
        .Unary<PowerOffMachineRequest, PowerOffMachineResponse>("PowerOffMachine", PowerOffAsync)
        .Unary<WaitMachineRequest, WaitMachineResponse>("WaitMachine", async (r, c) => new()
        {
            Machine = await machines.Get(r.Name).WaitAsync(s => r.Stopped ? s == MachineState.Stopped : s != MachineState.Running, c.CancellationToken).ConfigureAwait(false),
        })
        .Unary<RunMachineRequest, RunMachineResponse>("RunMachine", RunAsync)
        .Unary<StepMachineRequest, StepMachineResponse>("StepMachine", StepAsync)
        .Unary<HashMachineRequest, HashMachineResponse>("HashMachine", (r, c) => machines.Get(r.Name).InvokeAsync(
            m => new HashMachineResponse { Sha256 = m.StateHash(), VirtualTimeNs = m.Clock.CyclesToNanoseconds(m.Now), Instructions = m.Instructions }, c.CancellationToken));

    async Task<CreateMachineResponse> CreateAsync(CreateMachineRequest request, ServerCallContext context)
    {
        var reader = new SpecReader(paths);
        if (request.Name.Length != 0)
        {
            reader.Violations.Name(request.Name, "name");
        }

        var spec = request.Spec ?? new();
        var (config, boot) = reader.Read(spec, "spec");
        var host = await reader.BuildingAsync("spec", () => machines.AddAsync(request.Name, spec, config.MemoryBytes, new NewMachine(config, boot))).ConfigureAwait(false);
        return new() { Machine = await host.LookAsync(context).ConfigureAwait(false) };
    }

    async Task<ListMachinesResponse> ListAsync(ListMachinesRequest request, ServerCallContext context)
    {
        var violations = new Violations();
        violations.Require(request.PageSize <= 100, "page_size", "at most 100");
        violations.Text(request.PageToken, "page_token", 63);
        violations.Throw();
        var size = request.PageSize == 0 ? 100 : (int)request.PageSize;
        var hosts = machines.After(request.PageToken, size + 1);
        var response = new ListMachinesResponse { NextPageToken = hosts.Length > size ? hosts[size - 1].Name : "" };
        var bytes = 0;
        foreach (var host in hosts.Take(size))
        {
            try
            {
                var machine = await host.LookAsync(context).ConfigureAwait(false);
                response.Machines.Add(machine);
                if ((bytes += machine.CalculateSize()) > MostPageBytes && host != hosts[^1])
                {
                    // Descriptions may be long; a message that is too long would be none.
                    response.NextPageToken = host.Name;
                    break;
                }
            }
            catch (RpcException gone) when (gone.StatusCode == StatusCode.NotFound)
            {
                // Deleted since the list was made.
            }
        }

        return response;
    }

    async Task<DeleteMachineResponse> DeleteAsync(DeleteMachineRequest request, ServerCallContext context)
    {
        var host = machines.Get(request.Name);
        await host.InvokeAsync(
            _ =>
            {
                host.RequireGeneration(request.Generation);
                host.Delete();
                return 0;
            },
            context.CancellationToken).ConfigureAwait(false);
        await host.Gone.WaitAsync(context.CancellationToken).ConfigureAwait(false);
        return new();
    }

    async Task<Api.V1.Machine> GoAsync(string name, ulong generation, ServerCallContext context, MachineState from)
    {
        var host = machines.Get(name);
        return await host.InvokeAsync(
            _ =>
            {
                host.RequireGeneration(generation);
                host.Require(from);
                host.Go();
                return host.Describe();
            },
            context.CancellationToken).ConfigureAwait(false);
    }

    async Task<Api.V1.Machine> HaltAsync(string name, ulong generation, ServerCallContext context, StopReason why, params MachineState[] from)
    {
        var host = machines.Get(name);
        var stopped = await host.InvokeAsync(
            _ =>
            {
                host.RequireGeneration(generation);
                host.Require(from);
                return host.Halt(why);
            },
            context.CancellationToken).ConfigureAwait(false);
        await stopped.WaitAsync(context.CancellationToken).ConfigureAwait(false);
        return await host.LookAsync(context).ConfigureAwait(false);
    }

    async Task<ResetMachineResponse> ResetAsync(ResetMachineRequest request, ServerCallContext context)
    {
        var host = machines.Get(request.Name);
        return await host.InvokeAsync(
            _ =>
            {
                host.RequireGeneration(request.Generation);
                host.Reset();
                return new ResetMachineResponse { Machine = host.Describe() };
            },
            context.CancellationToken).ConfigureAwait(false);
    }

    async Task<PowerOffMachineResponse> PowerOffAsync(PowerOffMachineRequest request, ServerCallContext context)
    {
        var host = machines.Get(request.Name);
        var stopped = await host.InvokeAsync(
            _ =>
            {
                host.RequireGeneration(request.Generation);
                host.Require(MachineState.Created, MachineState.Running, MachineState.Paused);
                if (host.State == MachineState.Running)
                {
                    return host.Halt(StopReason.PoweredOffByCall);
                }

                host.TurnOff();
                return Task.CompletedTask;
            },
            context.CancellationToken).ConfigureAwait(false);
        await stopped.WaitAsync(context.CancellationToken).ConfigureAwait(false);
        return new() { Machine = await host.LookAsync(context).ConfigureAwait(false) };
    }

    async Task<RunMachineResponse> RunAsync(RunMachineRequest request, ServerCallContext context)
    {
        if (request.StretchCase == RunMachineRequest.StretchOneofCase.None)
        {
            throw Errors.Invalid("stretch", "virtual_time_ns or instructions is needed");
        }

        var host = machines.Get(request.Name);
        await host.RunAsync(
            m =>
            {
                host.Require(MachineState.Created, MachineState.Paused);
                return request.StretchCase == RunMachineRequest.StretchOneofCase.Instructions
                    ? host.Go(instructions: Sum(m.Instructions, request.Instructions))
                    : host.Go(time: Sum(m.Now, m.Clock.ToCycles(request.VirtualTimeNs, 1_000_000_000)));
            },
            context.CancellationToken).ConfigureAwait(false);
        return new() { Machine = await host.LookAsync(context).ConfigureAwait(false) };
    }

    async Task<StepMachineResponse> StepAsync(StepMachineRequest request, ServerCallContext context)
    {
        if (request.Instructions > LongestStep)
        {
            throw Errors.Invalid("instructions", $"1 to {LongestStep}");
        }

        var host = machines.Get(request.Name);
        await host.RunAsync(
            m =>
            {
                host.Require(MachineState.Created, MachineState.Paused);
                return host.Go(instructions: m.Instructions + Math.Max(1, request.Instructions));
            },
            context.CancellationToken).ConfigureAwait(false);
        return await host.InvokeAsync(
            m => new StepMachineResponse { Machine = host.Describe(), Registers = { m.Vcpus.Select(RegistersOf) } }, context.CancellationToken).ConfigureAwait(false);
    }

    static ulong Sum(ulong a, ulong b) => a > ulong.MaxValue - b ? ulong.MaxValue : a + b;

    static unsafe VcpuRegisters RegistersOf(Cpu.Vcpus.Vcpu cpu)
    {
        var s = cpu.State;
        var registers = new VcpuRegisters
        {
            Vcpu = (uint)cpu.Index, Rip = s->Rip, Rflags = Flags.Read(s), Cr0 = s->Cr0, Cr2 = s->Cr2, Cr3 = s->Cr3, Cr4 = s->Cr4, Efer = s->Efer,
            Cs = s->Cs.Selector, Ss = s->Ss.Selector, Cpl = (uint)s->Cpl, Instructions = cpu.Instructions, Activity = cpu.Activity.ToString(),
        };
        for (var i = 0; i < 16; i++)
        {
            registers.General.Add(s->Gpr[i]);
        }

        return registers;
    }
}
