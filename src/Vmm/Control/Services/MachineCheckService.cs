using Vmm.Api.V1;
using Vmm.Control.Hosting;
using Vmm.Cpu.MachineCheck;
using Vmm.Grpc;
using Vmm.Machine;
using Vmm.Machine.MachineChecks;
using Vmm.Specs.X86;
using ApiSignal = Vmm.Api.V1.MachineCheckSignal;
using ApiToucher = Vmm.Api.V1.PageToucher;
using MachineCheckSignal = Vmm.Machine.MachineChecks.MachineCheckSignal;
using PageToucher = Vmm.Machine.MachineChecks.PageToucher;

namespace Vmm.Control.Services;

/// <summary>vmm.v1.MachineCheckService.</summary>
internal sealed class MachineCheckService(MachineRegistry machines)
{
    const int LongestText = 1 << 20, MostInjections = 256;

    /// <summary>The methods.</summary>
    public MethodTable Methods => new MethodTable(MachineCheckReflection.Descriptor.Services[0])
        .Unary<InjectMachineCheckRequest, InjectMachineCheckResponse>("InjectMachineCheck", InjectAsync)
        .Unary<InjectMachineCheckTextRequest, InjectMachineCheckTextResponse>("InjectMachineCheckText", InjectTextAsync)
        .Unary<DisarmMachineCheckRequest, DisarmMachineCheckResponse>("DisarmMachineCheck", (r, c) => machines.Get(r.Machine).InvokeAsync(
            m => m.MachineChecks.Disarm(r.Id) ? new DisarmMachineCheckResponse() : throw Errors.NotFound("machine check", $"{r.Id}"), c.CancellationToken))
        .Unary<ListMachineChecksRequest, ListMachineChecksResponse>("ListMachineChecks", (r, c) => machines.Get(r.Machine).InvokeAsync(List, c.CancellationToken));

    Task<InjectMachineCheckResponse> InjectAsync(InjectMachineCheckRequest request, ServerCallContext context)
    {
        var host = machines.Get(request.Machine);
        return host.InvokeAsync(
            m =>
            {
                var id = Inject(m, [Read(request.Check ?? new(), m)], i => $"check.{i}")[0];
                var fired = Find(m, id);
                return new InjectMachineCheckResponse { Id = id, Fired = fired };
            },
            context.CancellationToken);
    }

    Task<InjectMachineCheckTextResponse> InjectTextAsync(InjectMachineCheckTextRequest request, ServerCallContext context)
    {
        var host = machines.Get(request.Machine);
        IReadOnlyList<MachineCheckInjection> injections;
        try
        {
            injections = request.Text.Length <= LongestText ? MceInjectText.Parse(request.Text) : throw new FormatException($"more than {LongestText} characters");
        }
        catch (FormatException bad)
        {
            throw Errors.Invalid("text", bad.Message);
        }

        return injections.Count is 0 or > MostInjections
            ? throw Errors.Invalid("text", $"1 to {MostInjections} machine checks are injected at once")
            : host.InvokeAsync(
                m => new InjectMachineCheckTextResponse { Fired = { Inject(m, injections, _ => "text").Select(id => Find(m, id)) } }, context.CancellationToken);
    }

    static uint[] Inject(VirtualMachine machine, IReadOnlyList<MachineCheckInjection> injections, Func<string, string> field)
    {
        var violations = new Violations();
        foreach (var wrong in injections.SelectMany(machine.MachineChecks.Violations))
        {
            violations.Add(field(wrong.Field), wrong.Problem);
        }

        violations.Throw();
        if (machine.MachineChecks.Armed.Count + injections.Count > MachineCheckInjector.ArmedLimit)
        {
            throw Errors.Exhausted("machine checks", $"{MachineCheckInjector.ArmedLimit} injections wait already");
        }

        return [.. injections.Select(machine.MachineChecks.Inject)];
    }

    static MachineCheckInjection Read(MachineCheck check, VirtualMachine machine)
    {
        var violations = new Violations();
        var when = When(check, machine, violations);
        violations.Require(Enum.IsDefined(check.Signal), "check.signal", "not a known value");
        violations.Throw();
        var injection = new MachineCheckInjection
        {
            Cpu = (int)Math.Min(check.Vcpu, int.MaxValue),
            Bank = check.HasBank ? (int)Math.Min(check.Bank, int.MaxValue) : null,
            Status = check.HasStatus ? check.Status : null,
            Addr = check.HasAddress ? check.Address : null,
            McgStatus = check.HasMcgStatus ? check.McgStatus : null,
            Signal = check.Signal switch
            {
                ApiSignal.Broadcast => MachineCheckSignal.Broadcast,
                ApiSignal.Target => MachineCheckSignal.Target,
                ApiSignal.Local => MachineCheckSignal.Local,
                ApiSignal.Silent => MachineCheckSignal.Silent,
                _ => MachineCheckSignal.Auto,
            },
            When = when,
            Once = check.Page?.Once == true,
        };
        return check.HasMisc ? injection with { Misc = check.Misc } : injection;
    }

    static InjectionCondition When(MachineCheck check, VirtualMachine machine, Violations violations)
    {
        switch (check.WhenCase)
        {
            case MachineCheck.WhenOneofCase.AtInstruction:
                return new(InjectionTrigger.Instruction, check.AtInstruction);
            case MachineCheck.WhenOneofCase.AtVirtualTimeNs:
                return new(InjectionTrigger.Time, machine.Clock.ToCycles(check.AtVirtualTimeNs, 1_000_000_000));
            case MachineCheck.WhenOneofCase.Page:
                violations.Require(Enum.IsDefined(check.Page.By), "check.page.by", "not a known value");
                return new(InjectionTrigger.Page, check.Page.Address, By: check.Page.By switch
                {
                    ApiToucher.Cpu => PageToucher.Cpu,
                    ApiToucher.Device => PageToucher.Device,
                    _ => PageToucher.Any,
                });
            case MachineCheck.WhenOneofCase.Exit:
                var isKnown = Enum.TryParse<ExitReason>(check.Exit.Reason, true, out var reason) && Enum.IsDefined(reason) && char.IsAsciiLetter(check.Exit.Reason[0]);
                violations.Require(isKnown, "check.exit.reason", $"one of {string.Join(", ", Enum.GetNames<ExitReason>())}");
                return new(InjectionTrigger.Exit, Math.Max(1, check.Exit.Count), reason);
            default:
                return new(InjectionTrigger.Now);
        }
    }

    /// <summary>The injection of an id if it has happened.</summary>
    static FiredMachineCheck? Find(VirtualMachine machine, uint id) =>
        machine.MachineChecks.Fired.Where(f => f.Id == id).Select(f => Describe(machine, f)).LastOrDefault();

    /// <summary>What happened, as messages tell it.</summary>
    public static FiredMachineCheck Describe(VirtualMachine machine, FiredInjection fired) => new()
    {
        Id = fired.Id,
        VirtualTimeNs = machine.Clock.CyclesToNanoseconds(fired.Time),
        Vcpu = (uint)fired.Cpu,
        Record = Describe(fired.Cpu, fired.Record),
        Outcome = fired.Outcome.ToString().ToLowerInvariant(),
        Told = { Enumerable.Range(0, 32).Where(i => (fired.Told >> i & 1) != 0).Select(i => (uint)i) },
    };

    static MachineCheckBank Describe(int vcpu, MachineCheckRecord record) => new()
    {
        Vcpu = (uint)vcpu, Bank = (uint)record.Bank, Status = record.Status, Address = record.Addr, Misc = record.Misc,
    };

    static ListMachineChecksResponse List(VirtualMachine machine)
    {
        var response = new ListMachineChecksResponse { Injected = machine.MachineChecks.Injected };
        foreach (var cpu in machine.Vcpus.Where(c => c.Mca != null))
        {
            response.Banks.Add(Enumerable.Range(0, machine.Config.MachineCheck!.Banks).Select(i => Describe(cpu.Index, cpu.Mca!.Bank(i))));
        }

        response.Armed.Add(machine.MachineChecks.Armed.Select(a => new ArmedMachineCheck
        {
            Id = a.Id, Condition = $"{a.Injection.When.Trigger} {a.Injection.When.Value}{(a.Injection.When.Trigger == InjectionTrigger.Exit ? $" {a.Injection.When.Exit}, {a.Left} left" : "")}",
        }));
        response.Fired.Add(machine.MachineChecks.Fired.Select(f => Describe(machine, f)));
        return response;
    }
}
