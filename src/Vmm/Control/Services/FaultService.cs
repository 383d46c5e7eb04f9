using System.Globalization;
using Vmm.Api.V1;
using Vmm.Control.Hosting;
using Vmm.Grpc;
using Vmm.Machine;
using Vmm.Platform.Faults;

namespace Vmm.Control.Services;

/// <summary>vmm.v1.FaultService.</summary>
internal sealed class FaultService(MachineRegistry machines)
{
    const int FiringsPerAnswer = 1000;

    /// <summary>The methods.</summary>
    public MethodTable Methods => new MethodTable(FaultReflection.Descriptor.Services[0])
        .Unary<CreateFaultRuleRequest, CreateFaultRuleResponse>("CreateFaultRule", (r, c) =>
        {
            var (rule, wrong) = FaultRuleMessages.Read(r.Rule ?? new());
            return machines.Get(r.Machine).InvokeAsync(m => new CreateFaultRuleResponse { Rule = Arm(m, rule, wrong) }, c.CancellationToken);
        })
        .Unary<ListFaultRulesRequest, ListFaultRulesResponse>("ListFaultRules", (r, c) => machines.Get(r.Machine).InvokeAsync(
            m => new ListFaultRulesResponse { Rules = { m.Faults.Rules.Select(FaultRuleMessages.Write) } }, c.CancellationToken))
        .Unary<DeleteFaultRuleRequest, DeleteFaultRuleResponse>("DeleteFaultRule", (r, c) => machines.Get(r.Machine).InvokeAsync(
            m => m.Faults.Disarm(r.Rule) ? new DeleteFaultRuleResponse() : throw Errors.NotFound("fault rule", r.Rule), c.CancellationToken))
        .Unary<ListFiredFaultsRequest, ListFiredFaultsResponse>("ListFiredFaults", (r, c) => machines.Get(r.Machine).InvokeAsync(m => List(m, r), c.CancellationToken));

    static Api.V1.FaultRule Arm(VirtualMachine machine, Platform.Faults.FaultRule rule, Violations violations)
    {
        rule = rule.Name.Length == 0 ? rule with { Name = Unused(machine) } : rule;
        if (machine.Faults.Rules.Any(r => r.Rule.Name == rule.Name))
        {
            throw Errors.Exists("fault rule", rule.Name);
        }

        if (machine.Faults.Rules.Count >= FaultPlan.RuleLimit)
        {
            throw Errors.Exhausted("fault rules", $"{FaultPlan.RuleLimit} rules are armed already");
        }

        foreach (var wrong in FaultRuleCheck.Violations(rule))
        {
            violations.Add($"rule.{wrong.Field}", wrong.Message);
        }

        violations.Throw();
        return FaultRuleMessages.Write(machine.Faults.Arm(rule));
    }

    static string Unused(VirtualMachine machine) => Enumerable.Range(1, FaultPlan.RuleLimit + 1)
        .Select(i => "rule-" + i.ToString(CultureInfo.InvariantCulture)).First(name => machine.Faults.Rules.All(r => r.Rule.Name != name));

    static ListFiredFaultsResponse List(VirtualMachine machine, ListFiredFaultsRequest request) => new()
    {
        Firings =
        {
            machine.Faults.Firings.Where(f => f.Number > request.After && (request.Rule.Length == 0 || f.Rule == request.Rule))
                .Take(FiringsPerAnswer).Select(FaultRuleMessages.Write),
        },
        Forgotten = machine.Faults.FiringCount - (ulong)machine.Faults.Firings.Count,
    };
}
