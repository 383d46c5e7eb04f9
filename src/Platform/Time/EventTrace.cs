namespace Vmm.Platform.Time;

/// <summary>
/// Takes events for people to read. Whoever has one asks <see cref="VirtualClock.Trace"/> first, so that a run without
/// tracing formats nothing. Tracing changes nothing that a guest can observe.
/// </summary>
public interface IEventTrace
{
    /// <summary>Takes one event. Names are those of Linux ("kvm_exit") and QEMU ("vtd_dmar_translate").</summary>
    void Write(string name, string details);
}
