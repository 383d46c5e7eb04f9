using System.Buffers.Binary;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Guests.Kit;

/// <summary>
/// A static Linux program that maps one anonymous page at <see cref="Page"/>, fills it, says <see cref="Ready"/> and then
/// touches it for a while in the way its first argument names: d load, s store, f fetch, k read by the kernel, else not at all.
/// </summary>
internal static class EatProgram
{
    public const ulong Page = 0x1000_0000;

    public const string Ready = "EATING";

    const ulong Base = 0x40_0000;
    const int HeaderSize = 120;

    public static byte[] Build()
    {
        var a = new Assembler(64);
        var text = a.CreateLabel("text");
        var wait = a.CreateLabel("wait");
        var loop = a.CreateLabel("loop");
        var notLoad = a.CreateLabel("notLoad");
        var notStore = a.CreateLabel("notStore");
        var notFetch = a.CreateLabel("notFetch");
        var next = a.CreateLabel("next");
        var end = a.CreateLabel("end");
        a.mov(r12, __qword_ptr[rsp + 16]);
        a.movzx(r12d, __byte_ptr[r12]);
        a.mov(eax, 9);
        a.mov(edi, (int)Page);
        a.mov(esi, 4096);
        a.mov(edx, 7);
        a.mov(r10d, 0x32);
        a.mov(r8, -1);
        a.xor(r9d, r9d);
        a.syscall();
        a.mov(rbx, rax);
        a.mov(__byte_ptr[rbx], 0xC3);
        Write(a, text, Ready.Length + 1);
        a.mov(ebp, 3_000_000);
        a.Label(ref wait);
        a.dec(ebp);
        a.jnz(wait);
        a.mov(ebp, 20_000_000);
        a.Label(ref loop);
        a.cmp(r12d, 'd');
        a.jne(notLoad);
        a.mov(rax, __qword_ptr[rbx + 8]);
        a.Label(ref notLoad);
        a.cmp(r12d, 's');
        a.jne(notStore);
        a.mov(__qword_ptr[rbx + 16], rbp);
        a.Label(ref notStore);
        a.cmp(r12d, 'f');
        a.jne(notFetch);
        a.call(rbx);
        a.Label(ref notFetch);
        a.cmp(r12d, 'k');
        a.jne(next);
        // open() with the name in the page: the kernel copies it. EFAULT ends the program.
        a.mov(eax, 2);
        a.mov(rdi, rbx);
        a.xor(esi, esi);
        a.syscall();
        a.cmp(eax, -14);
        a.je(end);
        a.Label(ref next);
        a.dec(ebp);
        a.jnz(loop);
        a.Label(ref end);
        a.mov(eax, 60);
        a.mov(edi, 7);
        a.syscall();
        a.Label(ref text);
        a.db(System.Text.Encoding.ASCII.GetBytes(Ready + "\n"));
        var code = new MemoryStream();
        a.Assemble(new StreamCodeWriter(code), Base + HeaderSize);
        return [.. Header((int)code.Length), .. code.ToArray()];
    }

    static void Write(Assembler a, Label text, int length)
    {
        a.mov(eax, 1);
        a.mov(edi, 1);
        a.lea(rsi, __[text]);
        a.mov(edx, length);
        a.syscall();
    }

    /// <summary>ELF64 file header and one loadable segment that holds the whole file.</summary>
    static byte[] Header(int codeLength)
    {
        var h = new byte[HeaderSize];
        "\u007fELF\u0002\u0001\u0001"u8.CopyTo(h);
        void U16(int at, ushort v) => BinaryPrimitives.WriteUInt16LittleEndian(h.AsSpan(at), v);
        void U32(int at, uint v) => BinaryPrimitives.WriteUInt32LittleEndian(h.AsSpan(at), v);
        void U64(int at, ulong v) => BinaryPrimitives.WriteUInt64LittleEndian(h.AsSpan(at), v);
        U16(16, 2);
        U16(18, 62);
        U32(20, 1);
        U64(24, Base + HeaderSize);
        U64(32, 64);
        U16(52, 64);
        U16(54, 56);
        U16(56, 1);
        U32(64, 1);
        U32(68, 5);
        U64(80, Base);
        U64(88, Base);
        U64(96, (ulong)(HeaderSize + codeLength));
        U64(104, (ulong)(HeaderSize + codeLength));
        U64(112, 0x1000);
        return h;
    }
}
