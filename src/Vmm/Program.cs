using Vmm.Firmware.Boot;
using Vmm.Machine;
using Vmm.Platform.Bus;

namespace Vmm;

static class Program
{
    sealed class Out : IConsoleOutput
    {
        readonly Stream o = Console.OpenStandardOutput();
        public void Write(ReadOnlySpan<byte> data) { o.Write(data); }
    }

    static int Main(string[] args)
    {
        var m = new VirtualMachine(new() { MemoryBytes = 512 << 20 }, new Out());
        var plan = BootLoader.Plan(new() { RamBytes = 512 << 20, Image = File.ReadAllBytes(args[0]), Modules = args.Length > 1 && args[1] != "" ? [new BootModule("", File.ReadAllBytes(args[1]))] : [], CommandLine = args.Length > 2 ? args[2] : "console=ttyS0 earlyprintk=ttyS0 cryptomgr.notests" });
        m.Boot(plan);
        var sw = System.Diagnostics.Stopwatch.StartNew();
        var t = new Thread(() => { Thread.Sleep(60000); m.RequestStop(); }) { IsBackground = true };
        t.Start();
        var r = m.Run();
        Console.WriteLine($"\n{r} insns={m.Instructions / 1e6:F1}M {m.Instructions / sw.Elapsed.TotalSeconds / 1e6:F1} MIPS {sw.Elapsed} hash={m.StateHash()}");
        unsafe { var s = m.Vcpus[0].State; Console.WriteLine($"rip={s->Rip:x} cr2={s->Cr2:x} rax={s->Gpr[0]:x} rcx={s->Gpr[1]:x} rsp={s->Gpr[4]:x}"); }
        return 0;
    }
}
