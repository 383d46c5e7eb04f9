using Vmm.Platform.Bus;

namespace Vmm.Platform.Pci;

/// <summary>
/// The functions of bus 0 and where their BARs answer. Guests may give BARs any address: of windows that overlap, the one
/// of the lowest device, function and BAR number answers; a window that overlaps anything that is not PCI (APICs, IOMMU
/// registers, ECAM) does not answer at all. Which windows answer depends only on the registers, not on their history.
/// </summary>
public sealed class PciBus(SystemBus bus)
{
    readonly PciFunction?[] slots = new PciFunction?[256];
    PciFunction[] functions = [];

    /// <summary>Functions in order of device and function number.</summary>
    public IReadOnlyList<PciFunction> Functions => functions;

    /// <summary>The function at a device and function number, or null.</summary>
    public PciFunction? Find(int devfn) => slots[devfn & 0xFF];

    /// <summary>Plugs a function in.</summary>
    /// <exception cref="ArgumentException">The address is taken or not on bus 0.</exception>
    public void Add(PciFunction function)
    {
        var devfn = function.Address.DevFn;
        if (slots[devfn] != null || function.Address.Bus != 0)
        {
            throw new ArgumentException($"{function.Name}: {function.Address} is not free", nameof(function));
        }

        slots[devfn] = function;
        functions = [.. slots.OfType<PciFunction>()];
        foreach (var other in functions)
        {
            other.SetMultiFunction(functions.Any(f => f.Address.Device == other.Address.Device && f.Address.Function != 0));
        }

        function.Bus = this;
        Remap();
    }

    /// <summary>Pulls a function out; its windows stop answering.</summary>
    public void Remove(PciFunction function)
    {
        if (slots[function.Address.DevFn] != function)
        {
            return;
        }

        slots[function.Address.DevFn] = null;
        functions = [.. slots.OfType<PciFunction>()];
        foreach (var bar in function.Bars)
        {
            Unmap(function, bar);
        }

        function.Bus = null;
        Remap();
    }

    /// <summary>Makes the windows follow the registers.</summary>
    internal void Remap()
    {
        foreach (var function in functions)
        {
            foreach (var bar in function.Bars)
            {
                if (bar.Region != null && (bar.Region.Start != bar.Address || !Wins(bar)))
                {
                    Unmap(function, bar);
                }
            }
        }

        foreach (var function in functions)
        {
            foreach (var bar in function.Bars)
            {
                var space = Space(bar);
                if (bar.Region == null && Wins(bar) && space.IsFree(bar.Address, bar.Size))
                {
                    bar.Region = space.Map(bar.Name, bar.Address, bar.Size, bar);
                    bar.Region.Doorbells = bar.Doorbells;
                    SetOwn(function, bar);
                }
            }
        }
    }

    /// <summary>True when the BAR is decoded and no decoded BAR before it overlaps.</summary>
    bool Wins(PciBar candidate)
    {
        if (!candidate.IsDecoded)
        {
            return false;
        }

        foreach (var function in functions)
        {
            foreach (var bar in function.Bars)
            {
                if (bar == candidate)
                {
                    return true;
                }

                if (bar.IsIo == candidate.IsIo && bar.IsDecoded &&
                    bar.Address < candidate.Address + candidate.Size && candidate.Address < bar.Address + bar.Size)
                {
                    return false;
                }
            }
        }

        return false;
    }

    AddressSpace Space(PciBar bar) => bar.IsIo ? bus.Pio : bus.Mmio;

    void Unmap(PciFunction function, PciBar bar)
    {
        if (bar.Region != null)
        {
            Space(bar).Unmap(bar.Region);
            bar.Region = null;
            SetOwn(function, bar);
        }
    }

    static void SetOwn(PciFunction function, PciBar bar)
    {
        if (!bar.IsIo)
        {
            function.Dma.SetOwnRegion(bar.Index, bar.Region);
        }
    }
}
