using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>An NVMe controller, without an IOMMU in the way: enable, identify, read block 0 with an MSI-X interrupt.</summary>
internal static class NvmeTests
{
    const byte Vector = 0x71;
    const byte IdentifyOpcode = 6, ReadOpcode = 2;
    const uint IdentifyNamespace = 0, IdentifyController = 1;
    const int SerialAt = 4, SerialLength = 20, ModelAt = 24, ModelLength = 40;
    const int SizeAt = 0, FormattedAt = 26, FormatsAt = 128;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g)
    {
        var (model, serial, sum) = (g.Data.Zeroed(ModelLength + 8, 1), g.Data.Zeroed(SerialLength + 4, 1), g.Data.U64());
        g.Checks.Test("nvme", $"{(Operand)model.Address:s40}, serial {(Operand)serial.Address:s20}: {g.Nvme.Blocks} blocks of {g.Nvme.BlockSize} bytes, sum of block 0 is {sum:x8}", () =>
        {
            g.Call(g.Nvme.Find);
            g.A.cmp(g.Nvme.Base, 0);
            g.If(When.Equal, () => g.Checks.SkipUnlessRequired("there is no NVMe controller"));
            Start(g);
            Identify(g);
            CopyText(g, ModelAt, ModelLength, model);
            CopyText(g, SerialAt, SerialLength, serial);
            Namespace(g);
            Read(g);
            Sum(g, sum);
            g.Call(g.Nvme.Stop);
            g.Checks.Equal(rax, 1, "the controller stops");
        });
    }

    static void Start(Guest g)
    {
        var a = g.A;
        a.mov(rax, g.Nvme.Base);
        a.mov(ebx, __dword_ptr[rax + NvmeDriver.VersionRegister]);
        g.Checks.Between(rbx, 0x1_0000, 0x3_0000, "version");
        g.Call(g.Nvme.Start);
        g.Checks.Equal(rax, 1, "the controller becomes ready");
        a.mov(rax, g.Nvme.Base);
        a.mov(ebx, __dword_ptr[rax + NvmeDriver.StatusRegister]);
        a.and(ebx, NvmeDriver.Ready | NvmeDriver.Fatal);
        g.Checks.Equal(rbx, NvmeDriver.Ready, "CSTS");
    }

    /// <summary>Emits code that identifies the controller, and leaves the test when that fails.</summary>
    public static void Identify(Guest g)
    {
        g.Nvme.Run(0, IdentifyOpcode, 0, g.Nvme.Buffer.Address, IdentifyController);
        LeaveOnFailure(g, "identify controller: status");
        g.Checks.Equal(g.Nvme.Buffer.As(1, 0x200), 0x66, "size of submission queue entries");
        g.Checks.Equal(g.Nvme.Buffer.As(1, 0x201), 0x44, "size of completion queue entries");
    }

    /// <summary>Checks that the status in RAX is success; without that what follows makes no sense.</summary>
    static void LeaveOnFailure(Guest g, string what)
    {
        g.A.mov(rbx, rax);
        g.Checks.Equal(rbx, 0, what);
        g.A.test(ebx, ebx);
        g.If(When.NotEqual, g.Checks.Leave);
    }

    static void CopyText(Guest g, int offset, int length, Variable target)
    {
        g.A.mov(esi, (uint)(g.Nvme.Buffer.Address + offset));
        g.A.mov(edi, target.Address);
        g.A.mov(ecx, length);
        g.A.rep.movsb();
    }

    /// <summary>Emits code that identifies namespace 1 and notes its size.</summary>
    public static void Namespace(Guest g)
    {
        var a = g.A;
        g.Nvme.Run(0, IdentifyOpcode, 1, g.Nvme.Buffer.Address, IdentifyNamespace);
        LeaveOnFailure(g, "identify namespace 1: status");
        a.mov(rax, g.Nvme.Buffer.As(8, SizeAt));
        a.mov(g.Nvme.Blocks, rax);
        a.movzx(eax, g.Nvme.Buffer.As(1, FormattedAt));
        a.and(eax, 0xF);
        a.movzx(ecx, __byte_ptr[rax * 4 + (g.Nvme.Buffer.Address + FormatsAt + 2)]);
        a.and(ecx, 31);
        a.mov(eax, 1);
        a.shl(eax, cl);
        a.mov(g.Nvme.BlockSize, rax);
        g.Checks.Between(g.Nvme.Blocks, 1, long.MaxValue, "blocks");
        g.Checks.Between(g.Nvme.BlockSize, 512, Layout.PageSize, "bytes of a block");
    }

    /// <summary>Emits code that reads block 0 to a physical address; the status is then in RAX.</summary>
    public static void ReadBlock(Guest g, uint target) => g.Nvme.Run(1, ReadOpcode, 1, target, 0, 0, 0);

    static void Read(Guest g)
    {
        var a = g.A;
        g.Call(g.Messages.OwnAddress);
        g.Call(g.Messages.SetMsiX, g.Nvme.Function, rax, Vector);
        g.Checks.Equal(rax, 1, "MSI-X capability");
        g.Nvme.CreateQueues(interrupts: true);
        LeaveOnFailure(g, "create I/O queues: status");
        g.Apic.Listen(10);
        a.mov(ebx, g.Faults.Counts[Vector]);
        a.inc(ebx);
        ReadBlock(g, g.Nvme.FirstBlock.Address);
        g.Checks.Equal(rax, 0, "read of block 0: status");
        g.Apic.Within(100_000, Vector, rbx, "MSI-X at its completion");
        Guard(g);
        ReadBlock(g, g.Nvme.Buffer.Address);
        g.Checks.Equal(rax, 0, "second read of block 0: status");
        CheckBlock(g, "two reads give the same");
        g.Nvme.Run(1, ReadOpcode, 1, g.Nvme.Buffer.Address, uint.MaxValue, int.MaxValue, 0);
        a.and(eax, 0x7FF);
        g.Checks.Equal(rax, 0x80, "read beyond the end: LBA out of range");
    }

    /// <summary>Emits code that fills the buffer with what a read has to replace.</summary>
    public static void Guard(Guest g)
    {
        g.A.mov(edi, g.Nvme.Buffer.Address);
        g.A.mov(eax, 0xA5A5_A5A5);
        g.A.mov(ecx, Layout.PageSize / 4);
        g.A.rep.stosd();
    }

    /// <summary>Emits code that checks that the buffer holds block 0 and, if the block is shorter, nothing else changed.</summary>
    public static void CheckBlock(Guest g, string what)
    {
        var a = g.A;
        a.mov(esi, g.Nvme.Buffer.Address);
        a.mov(edi, g.Nvme.FirstBlock.Address);
        a.mov(rcx, g.Nvme.BlockSize);
        a.repe.cmpsb();
        g.Checks.True(When.Equal, what);
        a.mov(ecx, Layout.PageSize);
        a.sub(rcx, g.Nvme.BlockSize);
        a.mov(rdi, g.Nvme.BlockSize);
        a.add(edi, g.Nvme.Buffer.Address);
        CheckGuard(g, what + ": nothing after it");
    }

    /// <summary>Emits code that checks that RCX bytes at RDI are as <see cref="Guard"/> left them.</summary>
    public static void CheckGuard(Guest g, string what)
    {
        g.A.mov(eax, 0xA5);
        g.A.cmp(eax, eax);
        g.A.repe.scasb();
        g.Checks.True(When.Equal, what);
    }

    static void Sum(Guest g, Variable sum)
    {
        var a = g.A;
        a.mov(rcx, g.Nvme.BlockSize);
        a.shr(ecx, 2);
        a.mov(esi, g.Nvme.FirstBlock.Address);
        a.xor(edx, edx);
        g.Forever(end =>
        {
            a.lodsd();
            a.add(edx, eax);
            a.dec(ecx);
            a.je(end);
        });
        a.mov(sum, rdx);
    }
}
