using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <content>Reads and writes of namespace 1, with PRP lists.</content>
internal sealed partial class NvmeDriver
{
    void EmitTransfer()
    {
        var a = g.A;
        a.mov(ebx, edi);
        a.mov(r12, rsi);
        a.mov(r13, rdx);
        a.mov(r14, rcx);
        ClearCommand();
        a.mov(Command, ebx);
        a.mov(Command[1], 1);
        a.mov(Command.As(8, 24), r14);
        a.xor(edx, edx);
        a.mov(rax, r12);
        a.div(BlockSize);
        a.mov(Command.As(8, 40), rax);
        a.mov(rax, r13);
        a.div(BlockSize);
        a.dec(eax);
        a.mov(Command[12], eax);
        DescribeRest();
        g.Call(Execute, 1);
    }

    /// <summary>PRP entry 2 (NVMe 1.4 §4.3): nothing, the second page, or the list of all pages from the second on.</summary>
    void DescribeRest()
    {
        var a = g.A;
        var done = a.CreateLabel();
        a.add(r14, (int)Layout.PageSize);
        a.sub(r13, (int)Layout.PageSize);
        g.Jump(When.NotAbove, done);
        a.mov(Command.As(8, 32), r14);
        a.cmp(r13, (int)Layout.PageSize);
        g.Jump(When.NotAbove, done);
        a.mov(edi, List.Address);
        g.Forever(end =>
        {
            a.mov(__qword_ptr[rdi], r14);
            a.add(rdi, 8);
            a.add(r14, (int)Layout.PageSize);
            a.sub(r13, (int)Layout.PageSize);
            g.Jump(When.NotAbove, end);
        });
        a.mov(eax, List.Address);
        a.add(rax, BusOffset);
        a.mov(Command.As(8, 32), rax);
        g.Place(done);
    }
}
