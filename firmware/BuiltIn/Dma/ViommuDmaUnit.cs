using Iced.Intel;
using Vmm.Specs.Virtio;
using static Iced.Intel.AssemblerRegisters;
using L = Vmm.Specs.Virtio.VirtioIommuLayout;

namespace Vmm.Firmware.BuiltIn.Dma;

/// <summary>
/// virtio-iommu: MAP and UNMAP requests (virtio 1.2 §5.13.6). A request that waits in the ring has not happened yet. Endpoint
/// numbers are requester IDs, as the VIOT tables of this program and of QEMU say.
/// </summary>
internal sealed class ViommuDmaUnit(Guest guest) : DmaUnit(guest)
{
    readonly Routine unmap = guest.NewRoutine();

    /// <inheritdoc/>
    public override void Find()
    {
        G.Call(G.Viommu.Find);
        G.A.mov(rax, G.Viommu.Present);
    }

    /// <inheritdoc/>
    public override void Start()
    {
        var a = G.A;
        G.Call(G.Viommu.Start);
        Require(rax, 1, "the device works and offers MAP and UNMAP");
        a.mov(rbx, G.Viommu.Granules);
        a.and(ebx, (int)Layout.PageSize);
        Require(rbx, (int)Layout.PageSize, "pages of 4 KiB can be mapped");
        G.Checks.Between(G.Viommu.LastAddress, DmaBuffers.WindowEnd, ulong.MaxValue, "last I/O address");
        Move(VirtioIommuRequest.Attach, L.AttachSize);
        Require(rax, 1, "the controller is attached to a domain");
    }

    /// <summary>ATTACH or DETACH: domain, endpoint, no flags.</summary>
    void Move(VirtioIommuRequest type, int size)
    {
        var a = G.A;
        G.Viommu.Begin(type);
        a.mov(eax, G.Nvme.Function.As(4));
        a.mov(G.Viommu.Request[2], eax);
        a.mov(G.Viommu.Request[3], 0);
        a.mov(G.Viommu.Request[4], 0);
        G.Call(G.Viommu.Add, size);
        G.Call(G.Viommu.Sync);
    }

    /// <inheritdoc/>
    public override void Describe()
    {
        G.A.mov(rbx, G.Viommu.Function);
        G.Console.PutFunction(rbx, "virtio-iommu ");
        G.Print($", granules {G.Viommu.Granules:x}, domain {G.Viommu.Domain}");
    }

    /// <inheritdoc/>
    public override void CheckFault(string what, Operand address, bool isMapped)
    {
        G.Checks.Equal(G.Viommu.FaultEndpoint, G.Nvme.Function, what + ": endpoint");
        G.Checks.Equal(G.Viommu.FaultAddress, address, what + ": address");
        G.Checks.Equal(G.Viommu.FaultReason, (int)VirtioIommuFault.Mapping, what + ": reason");
        // QEMU does not say that it was a write.
        G.Checks.ExceptOnTcg(() =>
            G.Checks.Equal(G.Viommu.FaultFlags, (int)(VirtioIommuFaultFlags.Write | VirtioIommuFaultFlags.Address), what + ": flags"));
        G.Print($"         fault reported: write of {G.Viommu.FaultAddress:x} by {G.Viommu.FaultEndpoint:x4}, reason {G.Viommu.FaultReason:x}\n");
    }

    /// <inheritdoc/>
    public override void Emit()
    {
        G.Define(Routines[(int)UnitCall.Map], EmitMap);
        G.Define(Routines[(int)UnitCall.Show], () => G.Call(G.Viommu.Sync));
        G.Define(unmap, EmitUnmap);
        G.Define(Routines[(int)UnitCall.Unmap], () =>
        {
            G.A.call(unmap.Label);
            G.Call(G.Viommu.Sync);
        });
        G.Define(Routines[(int)UnitCall.UnmapLater], () =>
        {
            G.A.call(unmap.Label);
            G.A.mov(eax, 1);
        });
        G.Define(Routines[(int)UnitCall.Flush], () => G.Call(G.Viommu.Sync));
        G.Define(Routines[(int)UnitCall.TakeFault], () => G.Call(G.Viommu.TakeFault));
        G.Define(Routines[(int)UnitCall.Stop], () =>
        {
            Move(VirtioIommuRequest.Detach, L.DetachSize);
            G.A.push(rax);
            G.Call(G.Viommu.Stop);
            G.A.pop(rax);
        });
    }

    void EmitMap()
    {
        var a = G.A;
        Range(rdx);
        a.mov(eax, esi);
        a.and(eax, 3);
        a.mov(G.Viommu.Request[8], eax);
        a.and(rsi, -(int)Layout.PageSize);
        a.mov(G.Viommu.Request.As(8, 24), rsi);
        G.Call(G.Viommu.Add, L.MapSize);
        a.mov(eax, 1);
    }

    void EmitUnmap()
    {
        Range(rsi, VirtioIommuRequest.Unmap);
        G.A.mov(G.Viommu.Request[6], 0);
        G.Call(G.Viommu.Add, L.UnmapSize);
    }

    /// <summary>Domain, first and last address.</summary>
    void Range(AssemblerRegister64 bytes, VirtioIommuRequest type = VirtioIommuRequest.Map)
    {
        var a = G.A;
        G.Viommu.Begin(type);
        a.mov(G.Viommu.Request.As(8, 8), rdi);
        a.lea(rax, __[rdi + bytes - 1]);
        a.mov(G.Viommu.Request.As(8, 16), rax);
    }
}
