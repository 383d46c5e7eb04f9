using Vmm.Platform.Interrupts;

namespace Vmm.Chipset;

/// <summary>Hears of the end of level-triggered interrupts: the I/O APIC.</summary>
public interface IEoiListener
{
    /// <summary>A local APIC ended the level-triggered interrupt with this vector.</summary>
    void EndOfInterrupt(byte vector);
}

/// <summary>
/// The interconnect of the local APICs: carries inter-processor interrupts and messages from devices
/// (SDM 3A §11.6, §11.11). Receivers are served in the order in which they were attached.
/// </summary>
public sealed class ApicBus : IInterruptSink
{
    const uint Broadcast8 = 0xFF, Broadcast32 = 0xFFFF_FFFF;

    LocalApic[] apics = [];
    IEoiListener[] listeners = [];

    /// <summary>Wire to LINT0 of every processor: INTR of the 8259 pair.</summary>
    public IInterruptLine Lint0 => new Pin(this, false);

    /// <summary>Wire to LINT1 of every processor: NMI.</summary>
    public IInterruptLine Lint1 => new Pin(this, true);

    /// <summary>Messages and IPIs for which no APIC was found.</summary>
    public ulong Undelivered { get; private set; }

    internal void Attach(LocalApic apic) => apics = [.. apics, apic];

    /// <summary>Adds a listener for EOI broadcasts.</summary>
    public void Attach(IEoiListener listener) => listeners = [.. listeners, listener];

    /// <summary>
    /// Delivers a message of the interrupt range 0xFEExxxxx. Address bits 63:40 extend the destination to 32 bits: that
    /// is how a remapper in extended interrupt mode hands on x2APIC ids.
    /// </summary>
    public void Deliver(MsiMessage message)
    {
        if ((message.Address & 0xFFF0_0000) != 0xFEE0_0000 || (message.Address >> 32 & 0xFF) != 0)
        {
            Undelivered++;
            return;
        }

        var mode = (DeliveryMode)(message.Data >> 8 & 7);
        var level = (message.Data & 1 << 15) != 0;
        var asserted = (message.Data & 1 << 14) != 0;
        var logical = (message.Address & 4) != 0;
        var redirected = (message.Address & 8) != 0 && logical && mode == DeliveryMode.Fixed;
        if (level && !asserted || mode is DeliveryMode.Smi or DeliveryMode.Reserved or DeliveryMode.StartUp)
        {
            return;
        }

        var destination = (uint)(message.Address >> 12) & 0xFF | (uint)(message.Address >> 32) & 0xFFFF_FF00;
        if (destination == Broadcast8)
        {
            destination = Broadcast32;
        }

        Route(redirected ? DeliveryMode.LowestPriority : mode, (byte)message.Data, level, logical, destination);
    }

    /// <summary>Sends what a processor wrote to its ICR (SDM 3A §11.6.1).</summary>
    internal void Send(LocalApic source, uint command, uint destination)
    {
        var mode = (DeliveryMode)(command >> 8 & 7);
        var vector = (byte)command;
        var initDeassert = mode == DeliveryMode.Init && (command & 0xC000) == 0x8000;
        if (initDeassert || mode is DeliveryMode.Smi or DeliveryMode.Reserved or DeliveryMode.ExtInt)
        {
            return;
        }

        if (mode is DeliveryMode.Fixed or DeliveryMode.LowestPriority && vector < 16)
        {
            source.Report(ApicErrors.SendIllegalVector);
            return;
        }

        switch (command >> 18 & 3)
        {
            case 0:
                var wide = source.Mode == ApicMode.XApic && destination == Broadcast8 ? Broadcast32 : destination;
                Route(mode, vector, level: false, (command & 1 << 11) != 0, wide);
                break;
            case 1:
                source.Accept(mode, vector, level: false);
                break;
            case var shorthand:
                SendToAll(mode, vector, shorthand == 3 ? source : null);
                break;
        }
    }

    /// <summary>Tells the I/O APICs that a level-triggered interrupt ended.</summary>
    internal void BroadcastEoi(byte vector)
    {
        foreach (var listener in listeners)
        {
            listener.EndOfInterrupt(vector);
        }
    }

    void SendToAll(DeliveryMode mode, byte vector, LocalApic? except)
    {
        if (mode == DeliveryMode.LowestPriority)
        {
            Arbitrate(vector, false, false, Broadcast32, except);
            return;
        }

        foreach (var apic in apics)
        {
            if (apic != except)
            {
                apic.Accept(mode, vector, level: false);
            }
        }
    }

    void Route(DeliveryMode mode, byte vector, bool level, bool logical, uint destination)
    {
        if (mode == DeliveryMode.LowestPriority)
        {
            Arbitrate(vector, level, logical, destination, null);
            return;
        }

        var found = false;
        foreach (var apic in apics)
        {
            if (IsAddressed(apic, logical, destination))
            {
                found = true;
                apic.Accept(mode, vector, level);
            }
        }

        Undelivered += found ? 0u : 1u;
    }

    /// <summary>The addressed, enabled processor with the lowest priority wins; among equals the one attached first.</summary>
    void Arbitrate(byte vector, bool level, bool logical, uint destination, LocalApic? except)
    {
        LocalApic? winner = null;
        foreach (var apic in apics)
        {
            var candidate = apic != except && apic.AcceptsFixed && IsAddressed(apic, logical, destination);
            if (candidate && (winner == null || apic.Rank < winner.Rank))
            {
                winner = apic;
            }
        }

        winner?.Accept(DeliveryMode.LowestPriority, vector, level);
        Undelivered += winner == null ? 1u : 0u;
    }

    static bool IsAddressed(LocalApic apic, bool logical, uint destination) =>
        apic.Mode != ApicMode.Disabled
        && (destination == Broadcast32 || (logical ? apic.MatchesLogical(destination) : apic.Id == destination));

    sealed class Pin(ApicBus bus, bool second) : IInterruptLine
    {
        public void Set(bool asserted)
        {
            foreach (var apic in bus.apics)
            {
                if (second)
                {
                    apic.SetLint1(asserted);
                }
                else
                {
                    apic.SetLint0(asserted);
                }
            }
        }
    }
}
