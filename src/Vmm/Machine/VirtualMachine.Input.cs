using System.Collections.Concurrent;

namespace Vmm.Machine;

/// <content>Console input: offered by any thread, taken by the machine's thread between turns.</content>
public sealed partial class VirtualMachine
{
    /// <summary>Bytes that may wait for the guest to read them.</summary>
    const int InputLimit = 64 * 1024;

    readonly ConcurrentQueue<byte[]> offered = new();
    byte[] waiting = [];
    int offeredBytes;

    /// <summary>True when the console is fed from outside: an idle machine then waits instead of ending.</summary>
    public bool ExpectsInput { get; set; }

    bool HasInput => !offered.IsEmpty || waiting.Length != 0;

    /// <summary>Offers console input from any thread. False when too much is waiting already.</summary>
    public bool OfferInput(ReadOnlySpan<byte> bytes)
    {
        if (Interlocked.Add(ref offeredBytes, bytes.Length) > InputLimit)
        {
            Interlocked.Add(ref offeredBytes, -bytes.Length);
            return false;
        }

        offered.Enqueue(bytes.ToArray());
        inputArrived.Set();
        return true;
    }

    readonly ManualResetEventSlim inputArrived = new();

    void DeliverInput()
    {
        while (waiting.Length != 0 || offered.TryDequeue(out waiting!))
        {
            Clock.SwitchTo(Now);
            var taken = Serial.Receive(waiting);
            Interlocked.Add(ref offeredBytes, -taken);
            waiting = waiting[taken..];
            if (waiting.Length != 0)
            {
                return;
            }
        }

        waiting = [];
    }

    /// <summary>Waits for input when nothing else can happen. False when no input is expected.</summary>
    bool WaitForInput()
    {
        if (!ExpectsInput)
        {
            return false;
        }

        inputArrived.Reset();
        while (!HasInput && !stopRequested && !attention)
        {
            inputArrived.Wait(50);
        }

        return true;
    }

    /// <summary>Waits until input arrives or <paramref name="milliseconds"/> have passed on the host's clock.</summary>
    public void AwaitInput(int milliseconds)
    {
        inputArrived.Reset();
        if (!HasInput && !stopRequested && !attention)
        {
            inputArrived.Wait(milliseconds);
        }
    }
}
