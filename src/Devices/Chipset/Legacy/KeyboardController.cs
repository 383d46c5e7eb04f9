using Vmm.Platform.Bus;
using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>
/// An 8042 with nothing plugged in: data at port 0x60, command and status at 0x64. Enough for guests that probe it, open A20
/// through it or reset the machine with it. A device command is answered with "resend" and the time-out flag; no
/// interrupt is raised. A20 is always open: its bit is kept but gates nothing.
/// </summary>
public sealed class KeyboardController : IBytePorts, ISnapshotPart
{
    const byte OutputFull = 1, SystemFlag = 4, LastWasCommand = 8, Unlocked = 0x10, TimedOut = 0x40;
    const byte A20 = 2, ResetLine = 1;

    readonly IPowerControl power;
    byte status, commandByte, outputPort, data, command;

    /// <param name="power">Takes the reset pulse.</param>
    public KeyboardController(IPowerControl power)
    {
        this.power = power;
        DataPort = new BytePortWindow(this, 0x60);
        CommandPort = new BytePortWindow(this, 0x64);
        Reset();
    }

    /// <summary>Port 0x60.</summary>
    public IBusTarget DataPort { get; }

    /// <summary>Port 0x64.</summary>
    public IBusTarget CommandPort { get; }

    /// <inheritdoc/>
    public string SectionName => "i8042";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <summary>State after the controller's self test.</summary>
    public void Reset()
    {
        status = SystemFlag | Unlocked;
        commandByte = 0x04;
        outputPort = A20 | ResetLine;
        (data, command) = (0, 0);
    }

    byte IBytePorts.ReadPort(int port)
    {
        if (port == 0x64)
        {
            return status;
        }

        status &= unchecked((byte)~(OutputFull | TimedOut));
        return data;
    }

    void IBytePorts.WritePort(int port, byte value)
    {
        if (port == 0x64)
        {
            status |= LastWasCommand;
            WriteCommand(value);
        }
        else
        {
            status &= unchecked((byte)~LastWasCommand);
            WriteData(value);
        }
    }

    void Answer(byte value)
    {
        data = value;
        status |= OutputFull;
    }

    void WriteCommand(byte value)
    {
        command = 0;
        switch (value)
        {
            case 0x20:
                Answer(commandByte);
                break;
            case 0x60 or 0xD1 or 0xD2 or 0xD3 or 0xD4:
                command = value;
                break;
            case 0xA7:
                commandByte |= 0x20;
                break;
            case 0xA8:
                commandByte &= 0xDF;
                break;
            case 0xA9 or 0xAB or 0xC0:
                Answer(0);
                break;
            case 0xAA:
                Answer(0x55);
                break;
            case 0xAD:
                commandByte |= 0x10;
                break;
            case 0xAE:
                commandByte &= 0xEF;
                break;
            case 0xD0:
                Answer(outputPort);
                break;
            case 0xDD:
                outputPort &= unchecked((byte)~A20);
                break;
            case 0xDF:
                outputPort |= A20;
                break;
            case >= 0xF0 when (value & ResetLine) == 0:
                power.Reset(ResetKind.KeyboardController);
                break;
            default:
                break;
        }
    }

    void WriteData(byte value)
    {
        var pending = command;
        command = 0;
        switch (pending)
        {
            case 0x60:
                commandByte = value;
                break;
            case 0xD1:
                outputPort = (byte)(value | ResetLine);
                if ((value & ResetLine) == 0)
                {
                    power.Reset(ResetKind.KeyboardController);
                }

                break;
            case 0xD2 or 0xD3:
                Answer(value);
                break;
            default:
                Answer(0xFE);
                status |= TimedOut;
                break;
        }
    }

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer) => writer.Bytes([status, commandByte, outputPort, data, command]);

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        Span<byte> bytes = stackalloc byte[5];
        reader.BytesInto(bytes);
        (status, commandByte, outputPort, data, command) = (bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]);
    }
}
