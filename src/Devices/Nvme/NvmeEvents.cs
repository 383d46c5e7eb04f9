using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>Asynchronous events (NVMe 1.4 §5.2). After an event its type is silent until the guest reads its log page.</summary>
public sealed partial class NvmeController
{
    const int EventRequests = 4, PendingEvents = 16;
    const byte InvalidDoorbellRegister = 0, InvalidDoorbellValue = 1, TemperatureEvent = 1, NamespaceAttributeChanged = 0;
    const uint TemperatureEventEnable = 1 << 1, NamespaceEventEnable = 1 << 8;

    readonly ushort[] eventRequests = new ushort[EventRequests];
    readonly uint[] pendingEvents = new uint[PendingEvents];
    int eventRequestCount;
    int pendingEventCount;
    uint silentTypes;

    enum NvmeEventType : byte
    {
        Error = 0,
        Smart = 1,
        Notice = 2,
    }

    /// <summary>Keeps a request until there is an event. False when too many wait already.</summary>
    bool TryKeepEventRequest(in NvmeCommand command)
    {
        if (eventRequestCount == EventRequests || command.FUSE != 0 || command.PSDT != 0)
        {
            return false;
        }

        eventRequests[eventRequestCount++] = command.CID;
        return true;
    }

    bool TryAbortEventRequest(ushort cid)
    {
        var at = Array.IndexOf(eventRequests, cid, 0, eventRequestCount);
        if (at < 0 || !completions[0].HasRoom)
        {
            return false;
        }

        RemoveEventRequest(at);
        Post(submissions[0], cid, NvmeStatus.AbortRequested, 0);
        return true;
    }

    void RemoveEventRequest(int at)
    {
        eventRequestCount--;
        Array.Copy(eventRequests, at + 1, eventRequests, at, eventRequestCount - at);
    }

    /// <summary>Notes an event. One that waits already is not noted twice, and past the limit events are dropped.</summary>
    void RaiseEvent(NvmeEventType type, byte information, byte logPage)
    {
        var value = (uint)type | (uint)information << 8 | (uint)logPage << 16;
        if (pendingEventCount < PendingEvents && Array.IndexOf(pendingEvents, value, 0, pendingEventCount) < 0)
        {
            pendingEvents[pendingEventCount++] = value;
        }

        SendEvents();
    }

    /// <summary>Completes requests with events, as far as there are both, and room for the completions.</summary>
    void SendEvents()
    {
        for (var at = 0; at < pendingEventCount && eventRequestCount > 0 && IsRunning && completions[0].HasRoom;)
        {
            var value = pendingEvents[at];
            if ((silentTypes >> (int)(value & 7) & 1) != 0)
            {
                at++;
                continue;
            }

            pendingEventCount--;
            Array.Copy(pendingEvents, at + 1, pendingEvents, at, pendingEventCount - at);
            silentTypes |= 1u << (int)(value & 7);
            var cid = eventRequests[0];
            RemoveEventRequest(0);
            Post(submissions[0], cid, NvmeStatus.Success, value);
        }
    }

    /// <summary>The guest read the log page of an event type, so the type may speak again.</summary>
    void HearEvents(NvmeEventType type)
    {
        silentTypes &= ~(1u << (int)type);
        SendEvents();
    }

    void NoteNamespaceChanged(NvmeNamespace space)
    {
        changedNamespaces |= 1u << (int)(space.Nsid - 1);
        if ((features[NvmeFeature.AsyncEventConfig] & NamespaceEventEnable) != 0)
        {
            RaiseEvent(NvmeEventType.Notice, NamespaceAttributeChanged, NvmeLogPage.ChangedNamespaces);
        }
    }

    void CheckTemperature()
    {
        if (IsTemperatureCritical && (features[NvmeFeature.AsyncEventConfig] & TemperatureEventEnable) != 0)
        {
            RaiseEvent(NvmeEventType.Smart, TemperatureEvent, NvmeLogPage.Smart);
        }
    }

    void ResetEvents() => (eventRequestCount, pendingEventCount, silentTypes) = (0, 0, 0);
}
