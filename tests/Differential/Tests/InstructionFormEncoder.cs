using Iced.Intel;
using Vmm.Differential.Cases;

namespace Vmm.Differential.Tests;

/// <summary>Encodes one plain example of any instruction form: register number 1 everywhere, memory at RBX.</summary>
internal static class InstructionFormEncoder
{
    /// <summary>The bytes, or null when a form needs operands that a plain example does not have.</summary>
    public static byte[]? Encode(Code code)
    {
        var opCode = code.ToOpCode();
        var instruction = new Instruction { Code = code };
        for (var i = 0; i < opCode.OpCount; i++)
        {
            if (!Operand(ref instruction, i, opCode.GetOpKind(i).ToString()))
            {
                return null;
            }
        }

        var bytes = new MemoryStream();
        return Encoder.Create(64, new StreamCodeWriter(bytes)).TryEncode(instruction, Sandbox.CodeBase, out _, out _) ? bytes.ToArray() : null;
    }

    static bool Operand(ref Instruction instruction, int at, string kind)
    {
        if (kind.StartsWith("imm", StringComparison.Ordinal))
        {
            instruction.SetOpKind(at, kind switch { "imm16" => OpKind.Immediate16, "imm32" => OpKind.Immediate32, _ => OpKind.Immediate8 });
            return true;
        }

        if (kind is "mem" or "mem_mib" or "mem_mpx")
        {
            instruction.SetOpKind(at, OpKind.Memory);
            instruction.MemoryBase = Register.RBX;
            return true;
        }

        var register = RegisterFor(kind);
        instruction.SetOpKind(at, OpKind.Register);
        instruction.SetOpRegister(at, register);
        return register != Register.None;
    }

    static Register RegisterFor(string kind) => kind.Split('_')[0] switch
    {
        "al" => Register.AL,
        "ax" => Register.AX,
        "eax" => Register.EAX,
        "rax" => Register.RAX,
        "r8" => Register.CL,
        "r16" => Register.CX,
        "r32" => Register.ECX,
        "r64" => Register.RCX,
        "mm" => Register.MM1,
        "xmm" => Register.XMM1,
        "ymm" => Register.YMM1,
        "zmm" => Register.ZMM1,
        "k" => Register.K1,
        "bnd" => Register.BND1,
        _ => Register.None,
    };
}
