namespace Vmm.Grpc;

/// <summary>How a call ended: a code and words for people.</summary>
/// <param name="Code">The code.</param>
/// <param name="Detail">The words; empty with success.</param>
public readonly record struct Status(StatusCode Code, string Detail = "")
{
    /// <summary>Success.</summary>
    public static Status OK => new(StatusCode.OK);
}
