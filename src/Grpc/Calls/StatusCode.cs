namespace Vmm.Grpc;

/// <summary>The status codes of gRPC, with their numbers on the wire.</summary>
public enum StatusCode
{
    /// <summary>Success.</summary>
    OK = 0,

    /// <summary>The caller gave up.</summary>
    Cancelled = 1,

    /// <summary>An error that says nothing else.</summary>
    Unknown = 2,

    /// <summary>The request is wrong whatever the state of the server.</summary>
    InvalidArgument = 3,

    /// <summary>The deadline passed.</summary>
    DeadlineExceeded = 4,

    /// <summary>There is no such thing.</summary>
    NotFound = 5,

    /// <summary>The name is taken.</summary>
    AlreadyExists = 6,

    /// <summary>The caller is known but may not.</summary>
    PermissionDenied = 7,

    /// <summary>A limit or a quota is reached.</summary>
    ResourceExhausted = 8,

    /// <summary>Not in this state.</summary>
    FailedPrecondition = 9,

    /// <summary>A lost race; may be tried again from the start.</summary>
    Aborted = 10,

    /// <summary>Beyond the end.</summary>
    OutOfRange = 11,

    /// <summary>No such method or feature.</summary>
    Unimplemented = 12,

    /// <summary>An error of the server, or broken framing.</summary>
    Internal = 13,

    /// <summary>Not now; may be tried again.</summary>
    Unavailable = 14,

    /// <summary>Data are damaged.</summary>
    DataLoss = 15,

    /// <summary>The caller is not known.</summary>
    Unauthenticated = 16,
}
