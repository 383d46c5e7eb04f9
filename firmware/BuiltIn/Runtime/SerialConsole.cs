using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>Output on COM1, polled: characters, texts and numbers.</summary>
internal sealed class SerialConsole(Guest guest)
{
    /// <summary>Base port of COM1.</summary>
    public const ushort Port = 0x3F8;

    /// <summary>Registers of a 16550 by offset from the base port.</summary>
    public const ushort InterruptEnable = 1, FifoControl = 2, LineControl = 3, ModemControl = 4, LineStatus = 5, ModemStatus = 6, Scratch = 7;

    const int PatienceForTransmitter = 1_000_000;

    readonly Guest g = guest;
    readonly Variable digits = guest.Data.Initial("0123456789abcdef"u8, 1, 1);

    /// <summary>Sets 115200 8n1 with FIFOs, no interrupts.</summary>
    public Routine Start { get; } = guest.NewRoutine();

    /// <summary>Prints a character: code. LF becomes CR LF.</summary>
    public Routine PutCharacter { get; } = guest.NewRoutine();

    /// <summary>Prints a NUL-terminated text: address.</summary>
    public Routine PutText { get; } = guest.NewRoutine();

    /// <summary>Prints up to some characters of a text, without NUL and trailing spaces: address, count.</summary>
    public Routine PutField { get; } = guest.NewRoutine();

    /// <summary>Prints a text padded with spaces: address, width.</summary>
    public Routine PutColumn { get; } = guest.NewRoutine();

    /// <summary>Prints hexadecimal digits: number, least count of digits.</summary>
    public Routine PutHex { get; } = guest.NewRoutine();

    /// <summary>Prints a decimal number: number, least width, padding character.</summary>
    public Routine PutDecimal { get; } = guest.NewRoutine();

    /// <summary>Prints a number of thousandths with a decimal point: number.</summary>
    public Routine PutThousandths { get; } = guest.NewRoutine();

    /// <summary>Waits until the line is idle.</summary>
    public Routine Drain { get; } = guest.NewRoutine();

    Routine Send { get; } = guest.NewRoutine();

    /// <summary>Emits code that prints the name of a PCI function, as bus:device.function.</summary>
    public void PutFunction(AssemblerRegister64 function, string before)
    {
        var a = g.A;
        g.Print($"{(Operand)before:s}");
        foreach (var (shift, mask, digits, after) in new[] { (8, 0xFF, 2, ':'), (3, 0x1F, 2, '.'), (0, 7, 1, '\0') })
        {
            a.mov(rdi, function);
            a.shr(edi, (byte)shift);
            a.and(edi, mask);
            g.Call(PutHex, rdi, digits);
            if (after != 0)
            {
                g.Call(PutCharacter, after);
            }
        }
    }

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(Start, EmitStart);
        g.Define(Send, EmitSend);
        g.Define(Drain, () => EmitAwait(0x40));
        g.Define(PutCharacter, [rbx], EmitPutCharacter);
        g.Define(PutText, [rbx], EmitPutText);
        g.Define(PutField, [rbx, r12], EmitPutField);
        g.Define(PutColumn, [rbx, r12], EmitPutColumn);
        g.Define(PutHex, [rbx, r12, r13], EmitPutHex);
        g.Define(PutDecimal, [rbx, rbp, r12], EmitPutDecimal);
        g.Define(PutThousandths, [rbx], EmitPutThousandths);
    }

    void EmitStart()
    {
        g.Out8(Port + InterruptEnable, 0);
        g.Out8(Port + LineControl, 0x83);
        g.Out8(Port, 1);
        g.Out8(Port + InterruptEnable, 0);
        g.Out8(Port + LineControl, 0x03);
        g.Out8(Port + FifoControl, 0x07);
        g.Out8(Port + ModemControl, 0x03);
    }

    /// <summary>Waits for a bit of the line status, but not for ever: a dead transmitter must not stop the guest.</summary>
    void EmitAwait(byte status)
    {
        var a = g.A;
        a.mov(ecx, PatienceForTransmitter);
        g.Forever(end =>
        {
            g.In8(Port + LineStatus);
            a.test(al, status);
            a.jne(end);
            a.pause();
            a.dec(ecx);
            a.je(end);
        });
    }

    void EmitSend()
    {
        EmitAwait(0x20);
        g.A.mov(eax, edi);
        g.Out8(Port);
    }

    void EmitPutCharacter()
    {
        var a = g.A;
        a.mov(ebx, edi);
        a.cmp(ebx, '\n');
        g.If(When.Equal, () => g.Call(Send, '\r'));
        g.Call(Send, rbx);
    }

    void EmitPutText()
    {
        var a = g.A;
        a.mov(rbx, rdi);
        g.Forever(end =>
        {
            a.movzx(edi, __byte_ptr[rbx]);
            a.test(edi, edi);
            a.je(end);
            a.inc(rbx);
            a.call(PutCharacter.Label);
        });
    }

    void EmitPutField()
    {
        var a = g.A;
        a.mov(rbx, rdi);
        a.mov(r12, rsi);
        // Device identification is padded with spaces.
        g.Forever(end =>
        {
            a.test(r12, r12);
            a.je(end);
            a.cmp(__byte_ptr[rbx + r12 - 1], ' ');
            a.jne(end);
            a.dec(r12);
        });
        g.Forever(end =>
        {
            a.dec(r12);
            a.js(end);
            a.movzx(edi, __byte_ptr[rbx]);
            a.test(edi, edi);
            a.je(end);
            a.inc(rbx);
            a.call(PutCharacter.Label);
        });
    }

    void EmitPutColumn()
    {
        var a = g.A;
        a.mov(rbx, rdi);
        a.mov(r12, rsi);
        g.Forever(end =>
        {
            a.movzx(edi, __byte_ptr[rbx]);
            a.test(edi, edi);
            a.je(end);
            a.inc(rbx);
            a.dec(r12);
            a.call(PutCharacter.Label);
        });
        g.Forever(end =>
        {
            a.dec(r12);
            a.js(end);
            g.Call(PutCharacter, ' ');
        });
    }

    void EmitPutHex()
    {
        var a = g.A;
        a.mov(rbx, rdi);
        a.mov(r12, rsi);
        a.mov(r13d, 16);
        g.Forever(end =>
        {
            a.rol(rbx, 4);
            a.mov(eax, ebx);
            a.and(eax, 0xF);
            // Leading zeros are left out unless the least count asks for them.
            var (print, next) = (a.CreateLabel(), a.CreateLabel());
            a.jne(print);
            a.cmp(r13, r12);
            a.jbe(print);
            a.cmp(r13d, 1);
            a.jne(next);
            g.Place(print);
            a.mov(r12d, 16);
            a.movzx(edi, digits.At(rax));
            a.call(PutCharacter.Label);
            g.Place(next);
            a.dec(r13d);
            a.je(end);
        });
    }

    void EmitPutDecimal()
    {
        var a = g.A;
        a.mov(rax, rdi);
        a.mov(r12, rsi);
        a.mov(ebp, edx);
        a.xor(ebx, ebx);
        a.mov(ecx, 10);
        g.Forever(end =>
        {
            a.xor(edx, edx);
            a.div(rcx);
            a.add(edx, '0');
            a.push(rdx);
            a.inc(ebx);
            a.test(rax, rax);
            a.je(end);
        });
        a.sub(r12, rbx);
        g.Forever(end =>
        {
            a.dec(r12);
            a.js(end);
            g.Call(PutCharacter, rbp);
        });
        g.Forever(end =>
        {
            a.pop(rdi);
            a.call(PutCharacter.Label);
            a.dec(ebx);
            a.je(end);
        });
    }

    void EmitPutThousandths()
    {
        var a = g.A;
        a.mov(rax, rdi);
        a.xor(edx, edx);
        a.mov(ecx, 1000);
        a.div(rcx);
        a.mov(rbx, rdx);
        g.Call(PutDecimal, rax, 0, ' ');
        g.Call(PutCharacter, '.');
        g.Call(PutDecimal, rbx, 3, '0');
    }
}
