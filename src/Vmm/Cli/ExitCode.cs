namespace Vmm.Cli;

/// <summary>Process exit codes; fixed, scripts rely on them.</summary>
internal static class ExitCode
{
    /// <summary>The guest ended as it should.</summary>
    public const int Pass = 0;

    /// <summary>The guest reported a failure.</summary>
    public const int GuestFailed = 1;

    /// <summary>Bad option, image or configuration.</summary>
    public const int BadUsage = 2;

    /// <summary>The guest panicked, triple-faulted or halted for ever.</summary>
    public const int GuestCrashed = 3;

    /// <summary>A time limit ended the run.</summary>
    public const int Timeout = 4;

    /// <summary>A defect of this program.</summary>
    public const int Internal = 5;

    /// <summary>A call of the control plane failed.</summary>
    public const int ControlPlane = 6;
}

/// <summary>A bad option or input file: one line for the user, exit code 2.</summary>
internal sealed class UsageException(string message) : Exception(message);
