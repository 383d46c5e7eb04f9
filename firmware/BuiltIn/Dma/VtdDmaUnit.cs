using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Dma;

/// <summary>VT-d, in scalable mode where the unit offers it: second-stage tables, and invalidation by the queue (VT-d 4.1 §3.7, §6.5.2).</summary>
internal sealed class VtdDmaUnit(Guest guest) : DmaUnit(guest)
{
    const int Domain = 1;

    /// <summary>CAP: caching mode, write-buffer flushing, page-selective invalidation.</summary>
    const int CachingMode = 1 << 7, WriteBuffers = 1 << 4, PageSelectiveBit = 39, MaskAt = 48;

    /// <summary>ECAP: the unit looks into the processor's caches.</summary>
    const int Coherent = 1;

    /// <summary>IOTLB invalidation descriptors for the domain, drained; by domain, by page.</summary>
    const uint ByDomain = 2 | 2 << 4 | 3 << 6 | Domain << 16, ByPage = 2 | 3 << 4 | 3 << 6 | Domain << 16;

    /// <summary>Address quadword of a page-selective descriptor: only leaf entries changed.</summary>
    const int LeavesOnly = 1 << 6;

    /// <summary>Fault reasons (§7.1.3).</summary>
    const int NoWritePermission = 5, ScalableNotPresent = 0x79, ScalableNoWritePermission = 0x85;

    readonly Routine invalidate = guest.NewRoutine();

    /// <inheritdoc/>
    public override void Find()
    {
        G.Call(G.Iommu.Find);
        G.A.mov(rax, G.Iommu.Base);
    }

    /// <inheritdoc/>
    public override void Start()
    {
        var a = G.A;
        var unit = G.Iommu;
        a.mov(rbx, unit.Extended);
        a.and(ebx, RemappingUnit.QueuedInvalidation);
        Require(rbx, RemappingUnit.QueuedInvalidation, "queued invalidation is offered");
        a.mov(rbx, unit.Capabilities);
        a.and(ebx, WriteBuffers);
        Require(rbx, 0, "no write buffers to flush");
        ChooseMode();
        G.Call(unit.StartQueue);
        Require(rax, 1, "queued invalidation is enabled");
        G.Call(unit.SetRoot);
        Require(rax, 1, "the root table pointer is set");
        G.Call(unit.Assign, G.Nvme.Function, Domain);
        unit.Flush();
        Require(rax, 1, "contexts and translations are invalidated");
        G.Call(unit.Set, RemappingUnit.TranslationEnable);
        Require(rax, 1, "translation is enabled");
    }

    void ChooseMode()
    {
        var a = G.A;
        var legacy = a.CreateLabel();
        foreach (var bit in (byte[])[RemappingUnit.ScalableModeBit, RemappingUnit.SecondStageBit])
        {
            a.bt(G.Iommu.Extended, bit);
            a.jnc(legacy);
        }

        a.cmp(G.Options.LegacyMode, 0);
        a.jne(legacy);
        G.Iommu.UseScalableMode();
        G.Place(legacy);
    }

    /// <inheritdoc/>
    public override void Describe()
    {
        G.Print($"VT-d unit at {G.Iommu.Base:x} in ");
        Flag(G.Iommu.Scalable, 1, "scalable", "legacy");
        G.Print($" mode, caching mode ");
        Flag(G.Iommu.Capabilities, CachingMode, "on", "off");
        G.Print($", walks ");
        Flag(G.Iommu.Extended, Coherent, "coherent", "not coherent");
    }

    void Flag(Variable register, int bit, string set, string clear)
    {
        G.A.test(register.As(4), bit);
        G.If(When.NotEqual, () => G.Print($"{(Operand)set:s}"), () => G.Print($"{(Operand)clear:s}"));
    }

    /// <inheritdoc/>
    public override void CheckFault(string what, Operand address, bool isMapped)
    {
        G.A.mov(ebx, NoWritePermission);
        G.A.cmp(G.Iommu.Scalable, 0);
        // QEMU has the reasons of legacy mode in both.
        G.If(When.NotEqual, () => G.Checks.ExceptOnTcg(() => G.A.mov(ebx, isMapped ? ScalableNoWritePermission : ScalableNotPresent)));
        G.Checks.Equal(G.Iommu.FaultSource, G.Nvme.Function, what + ": source");
        G.Checks.Equal(G.Iommu.FaultInformation, address, what + ": address");
        G.Checks.Equal(G.Iommu.FaultReason, rbx, what + ": reason");
        G.Checks.Equal(G.Iommu.FaultKind, 0, what + ": type of request");
        G.Print($"         fault recorded: write of {G.Iommu.FaultInformation:x} by {G.Iommu.FaultSource:x4}, reason {G.Iommu.FaultReason:x}\n");
    }

    /// <inheritdoc/>
    public override void Emit()
    {
        G.Define(invalidate, EmitInvalidate);
        G.Define(Routines[(int)UnitCall.Map], EmitMap);
        G.Define(Routines[(int)UnitCall.Show], EmitShow);
        G.Define(Routines[(int)UnitCall.Unmap], [rbx, r12], () => EmitUnmap(later: false));
        G.Define(Routines[(int)UnitCall.UnmapLater], [rbx, r12], () => EmitUnmap(later: true));
        G.Define(Routines[(int)UnitCall.Flush], () => G.Call(G.Iommu.Submit, ByDomain, 0));
        G.Define(Routines[(int)UnitCall.TakeFault], () => G.Call(G.Iommu.TakeFault));
        G.Define(Routines[(int)UnitCall.Stop], () => G.Call(G.Iommu.Clear, RemappingUnit.TranslationEnable));
    }

    void EmitMap()
    {
        var a = G.A;
        a.shr(rdx, 12);
        a.call(G.Iommu.Map.Label);
        a.test(rax, rax);
        G.If(When.NotEqual, () => a.mov(eax, 1));
    }

    /// <summary>With caching mode the unit may have kept that there was nothing (§6.1), so that a new mapping is invalidated too.</summary>
    void EmitShow()
    {
        var a = G.A;
        a.mov(eax, 1);
        a.test(G.Iommu.Capabilities.As(4), CachingMode);
        G.If(When.NotEqual, () => G.Call(invalidate, rdi, rsi, 0));
    }

    void EmitUnmap(bool later)
    {
        var a = G.A;
        a.mov(rbx, rdi);
        a.mov(r12, rsi);
        a.mov(rdx, rsi);
        a.shr(rdx, 12);
        G.Call(G.Iommu.Map, rbx, 0, rdx);
        a.mov(eax, 1);
        if (!later)
        {
            G.Call(invalidate, rbx, r12, LeavesOnly);
        }
    }

    /// <summary>RDI: address, RSI: bytes, a power of two, RDX: hint. By page where the unit can and the mask is not too large, else by domain.</summary>
    void EmitInvalidate()
    {
        var a = G.A;
        var domain = a.CreateLabel();
        a.bt(G.Iommu.Capabilities, PageSelectiveBit);
        a.jnc(domain);
        a.shr(rsi, 12);
        a.bsr(rcx, rsi);
        a.mov(rax, G.Iommu.Capabilities);
        a.shr(rax, MaskAt);
        a.and(eax, 0x3F);
        a.cmp(ecx, eax);
        a.ja(domain);
        a.or(rdi, rdx);
        a.or(rdi, rcx);
        a.mov(rsi, rdi);
        G.Call(G.Iommu.Submit, ByPage, rsi);
        G.Return();
        G.Place(domain);
        G.Call(G.Iommu.Submit, ByDomain, 0);
    }
}
