using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn;

/// <content>Routines, calls and loads.</content>
internal sealed partial class Guest
{
    static readonly AssemblerRegister64[] Arguments = [rdi, rsi, rdx, rcx, r8, r9];

    readonly Stack<Label> returns = new();

    /// <summary>Emits a routine that preserves the registers named.</summary>
    public void Define(Routine routine, AssemblerRegister64[] preserved, Action body)
    {
        routine.Place(A);
        foreach (var register in preserved)
        {
            A.push(register);
        }

        var end = A.CreateLabel();
        returns.Push(end);
        body();
        returns.Pop();
        Place(end);
        for (var i = preserved.Length - 1; i >= 0; i--)
        {
            A.pop(preserved[i]);
        }

        A.ret();
    }

    /// <summary>Emits a routine that calls nothing or has nothing to preserve.</summary>
    public void Define(Routine routine, Action body) => Define(routine, [], body);

    /// <summary>Leaves the routine being emitted.</summary>
    public void Return() => A.jmp(returns.Peek());

    /// <summary>Calls a routine.</summary>
    public void Call(Routine routine, params ReadOnlySpan<Operand> arguments)
    {
        Load(arguments);
        A.call(routine.Label);
    }

    /// <summary>Calls the routine whose address a variable holds.</summary>
    public void CallThrough(Variable pointer, params ReadOnlySpan<Operand> arguments)
    {
        Load(arguments);
        A.call(pointer);
    }

    void Load(ReadOnlySpan<Operand> arguments)
    {
        for (var i = 0; i < arguments.Length; i++)
        {
            for (var earlier = 0; earlier < i; earlier++)
            {
                RequireUntouched(arguments[i], Arguments[earlier]);
            }

            Load(Arguments[i], arguments[i]);
        }
    }

    static void RequireUntouched(Operand argument, AssemblerRegister64 taken)
    {
        var used = argument.Kind switch
        {
            Operand.Source.Register => argument.Register.Value,
            Operand.Source.Register32 => argument.Register32.Value.GetFullRegister(),
            Operand.Source.Memory => argument.Memory.Base,
            _ => Register.None,
        };
        if (used == taken.Value)
        {
            throw new InvalidOperationException($"argument in {taken.Value} is overwritten by an earlier one");
        }
    }

    /// <summary>Loads a value. Flags survive.</summary>
    public void Load(AssemblerRegister64 target, Operand value)
    {
        switch (value.Kind)
        {
            case Operand.Source.Immediate when (ulong)value.Value <= uint.MaxValue:
                A.mov(Low(target), (uint)value.Value);
                break;
            case Operand.Source.Immediate:
                A.mov(target, value.Value);
                break;
            case Operand.Source.Text:
                A.mov(Low(target), Data.Text(value.Text!));
                break;
            case Operand.Source.Register when value.Register != target:
                A.mov(target, value.Register);
                break;
            case Operand.Source.Register32:
                A.mov(Low(target), value.Register32);
                break;
            case Operand.Source.Memory:
                LoadMemory(target, value);
                break;
            case Operand.Source.Code:
                A.lea(target, __[value.Code]);
                break;
        }
    }

    void LoadMemory(AssemblerRegister64 target, Operand value)
    {
        switch (value.Size)
        {
            case 1:
                A.movzx(Low(target), value.Memory);
                break;
            case 2:
                A.movzx(Low(target), value.Memory);
                break;
            case 4:
                A.mov(Low(target), value.Memory);
                break;
            default:
                A.mov(target, value.Memory);
                break;
        }
    }

    /// <summary>The low half of a register.</summary>
    public static AssemblerRegister32 Low(AssemblerRegister64 register) => new(register.Value - Register.RAX + Register.EAX);
}
