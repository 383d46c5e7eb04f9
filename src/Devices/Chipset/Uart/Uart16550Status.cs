namespace Vmm.Chipset;

/// <summary>Status registers and the priority of interrupt sources.</summary>
public sealed partial class Uart16550
{
    bool InLoopback => (mcr & Loop) != 0;

    byte LineStatus => (byte)((receiver.Count != 0 ? 1 : 0)
        | (receiver.Overrun ? OverrunError : 0)
        | receiver.NextErrors
        | (transmitter.HoldingEmpty ? 0x20 : 0)
        | (transmitter.Empty ? 0x40 : 0)
        | (receiver.HoldsError ? 0x80 : 0));

    /// <summary>MSR bits 7:4. In loopback mode DTR, RTS, OUT1 and OUT2 come back as DSR, CTS, RI and DCD.</summary>
    byte ModemLines => InLoopback
        ? (byte)((mcr & 1) << 5 | (mcr & 2) << 3 | (mcr & 4) << 4 | (mcr & 8) << 4)
        : modemInputs;

    /// <summary>IIR bits 3:0: the pending source of the highest priority, 1 when there is none.</summary>
    byte PendingSource()
    {
        if ((ier & 4) != 0 && (LineStatus & LineErrors) != 0)
        {
            return 0x06;
        }

        if ((ier & 1) != 0 && receiver.TriggerReached)
        {
            return 0x04;
        }

        if ((ier & 1) != 0 && receiver.TimedOut)
        {
            return 0x0C;
        }

        if ((ier & 2) != 0 && transmitterInterrupt)
        {
            return 0x02;
        }

        return (ier & 8) != 0 && modemDelta != 0 ? (byte)0x00 : (byte)0x01;
    }

    byte ReadIir()
    {
        var source = PendingSource();
        if (source == 0x02)
        {
            transmitterInterrupt = false;
        }

        return (byte)(source | (receiver.UsesFifo ? 0xC0 : 0));
    }

    byte ReadLsr()
    {
        var value = LineStatus;
        receiver.Overrun = false;
        receiver.ClearNextErrors();
        return value;
    }

    byte ReadMsr()
    {
        var value = (byte)(ModemLines | modemDelta);
        modemDelta = 0;
        return value;
    }
}
