using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Vmm.Grpc;

namespace Vmm.Control;

/// <summary>Every error that a call can end with, each with the details that docs/control-plane.md promises.</summary>
internal static class Errors
{
    /// <summary>Domain of all reasons.</summary>
    public const string Domain = "vmm";

    /// <summary>There is no such machine, device or rule.</summary>
    public static RpcException NotFound(string type, string name) => RichStatus.Error(
        Grpc.StatusCode.NotFound, $"no {type} '{Plain(name)}'", Resource(type, name, "not found"));

    /// <summary>The name is taken.</summary>
    public static RpcException Exists(string type, string name) => RichStatus.Error(
        Grpc.StatusCode.AlreadyExists, $"{type} '{Plain(name)}' exists", Resource(type, name, "exists"));

    /// <summary>Fields are wrong: all of them at once.</summary>
    public static RpcException Invalid(IReadOnlyCollection<(string Field, string Why)> violations)
    {
        var bad = new BadRequest();
        bad.FieldViolations.Add(violations.Select(v => new BadRequest.Types.FieldViolation { Field = v.Field, Description = v.Why }));
        return RichStatus.Error(Grpc.StatusCode.InvalidArgument, string.Join("; ", violations.Select(v => $"{v.Field}: {v.Why}")), bad);
    }

    /// <summary>One field is wrong.</summary>
    public static RpcException Invalid(string field, string why) => Invalid([(field, why)]);

    /// <summary>Not in this state.</summary>
    public static RpcException Precondition(string type, string subject, string why) => RichStatus.Error(
        Grpc.StatusCode.FailedPrecondition, why,
        new PreconditionFailure { Violations = { new PreconditionFailure.Types.Violation { Type = type, Subject = Plain(subject), Description = why } } });

    /// <summary>Outside the address space.</summary>
    public static RpcException OutOfRange(string reason, string why) => With(Grpc.StatusCode.OutOfRange, reason, why);

    /// <summary>A lost race.</summary>
    public static RpcException Lost(string reason, string why) => With(Grpc.StatusCode.Aborted, reason, why);

    /// <summary>A limit is reached.</summary>
    public static RpcException Exhausted(string subject, string why) => RichStatus.Error(
        Grpc.StatusCode.ResourceExhausted, why,
        new QuotaFailure { Violations = { new QuotaFailure.Types.Violation { Subject = Plain(subject), Description = why } } });

    /// <summary>This machine or this build has no such feature.</summary>
    public static RpcException Unimplemented(string reason, string why) => With(Grpc.StatusCode.Unimplemented, reason, why);

    /// <summary>A path is outside the allowed roots. Neither path is told.</summary>
    public static RpcException PathDenied(string field) =>
        With(Grpc.StatusCode.PermissionDenied, "PATH_OUTSIDE_ROOTS", $"{field}: the path is not inside an allowed root");

    /// <summary>A file is damaged.</summary>
    public static RpcException Damaged(string reason, string why) => With(Grpc.StatusCode.DataLoss, reason, why);

    /// <summary>The server is about to end.</summary>
    public static RpcException Draining() => RichStatus.Error(
        Grpc.StatusCode.Unavailable, "the server is shutting down", new RetryInfo { RetryDelay = Duration.FromTimeSpan(TimeSpan.FromSeconds(1)) });

    static RpcException With(Grpc.StatusCode code, string reason, string why) =>
        RichStatus.Error(code, why, new ErrorInfo { Domain = Domain, Reason = reason });

    static ResourceInfo Resource(string type, string name, string why) => new()
    {
        ResourceType = type, ResourceName = Plain(name), Description = why,
    };

    /// <summary>A name as it may be repeated: short and printable.</summary>
    public static string Plain(string text) => string.Concat(text.Take(63).Select(c => c is >= ' ' and <= '~' ? c : '?'));
}
