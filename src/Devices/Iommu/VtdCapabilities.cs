using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>What one unit can do: the words it advertises and the numbers derived from them.</summary>
public sealed class VtdCapabilities
{
    /// <summary>Composes the words from a profile and its refinements.</summary>
    /// <exception cref="ArgumentException">An option is invalid; the message names it.</exception>
    public VtdCapabilities(VtdOptions options)
    {
        options.Validate();
        var scalable = options.Profile != VtdProfile.Legacy;
        var strict = options.Profile == VtdProfile.Strict;
        AddressWidth = options.AddressWidth ?? (strict ? 57 : 48);
        HostAddressWidth = options.HostAddressWidth;
        Version = scalable ? 0x40u : 0x10u;
        Cap = BaseCap(options, AddressWidth, strict ? 16 : scalable ? 8 : 1) with { CM = options.CachingMode ?? strict, PLMR = strict, PHMR = strict };
        Ecap = BaseEcap(options, scalable);
        if (scalable)
        {
            Cap = Cap with { FS1GP = true, FS5LP = strict, ESIRTPS = true, PI = (options.PostedInterrupts ?? true) && Ecap.IR, ZLR = true };
            Ecap = AddScalable(Ecap, options.CoherentWalks ?? true);
        }
        else if (options.PostedInterrupts == true)
        {
            Cap = Cap with { PI = Ecap.IR };
        }

        CompressesFaults = options.FaultCompression ?? !strict;
        DetectsMissingInvalidations = options.DetectMissingInvalidations ?? strict;
    }

    /// <summary>VER_REG.</summary>
    public uint Version { get; }

    /// <summary>CAP_REG.</summary>
    public Cap Cap { get; }

    /// <summary>ECAP_REG.</summary>
    public Ecap Ecap { get; }

    /// <summary>Host address width in bits.</summary>
    public int HostAddressWidth { get; }

    /// <summary>Widest second-stage input address in bits (MGAW + 1).</summary>
    public int AddressWidth { get; }

    /// <summary>Bits of a domain id.</summary>
    public int DomainBits => 4 + 2 * Cap.ND;

    /// <summary>Faults of a source with a pending record are dropped.</summary>
    public bool CompressesFaults { get; }

    /// <summary>Cache hits are compared with the tables.</summary>
    public bool DetectsMissingInvalidations { get; }

    /// <summary>Levels of the deepest second-stage table.</summary>
    public int LargestLevels => (AddressWidth - 12) / 9;

    /// <summary>Levels for an AW field, or 0 when SAGAW does not have it.</summary>
    public int LevelsFor(int aw) => aw <= 3 && (Cap.SAGAW >> aw & 1) != 0 ? aw + 2 : 0;

    static Cap BaseCap(VtdOptions options, int width, int records) => new Cap
    {
        ND = 6,
        SAGAW = width switch { 39 => 0b0010, 48 => 0b0110, _ => 0b1110 },
        MGAW = width - 1,
        FRO = VtdRegister.FRCD / 16,
        SSLPS = 3,
        PSI = true,
        NFR = (options.FaultRecords ?? records) - 1,
        MAMV = 18,
        DWD = true,
        DRD = true,
        ESRTPS = true,
    };

    static Ecap BaseEcap(VtdOptions options, bool scalable)
    {
        var remapping = options.InterruptRemapping ?? true;
        return new Ecap
        {
            C = options.CoherentWalks ?? scalable,
            QI = true,
            DT = options.DeviceTlb ?? scalable,
            IR = remapping,
            EIM = remapping && (options.ExtendedInterruptMode ?? scalable),
            PT = options.PassThrough ?? true,
            SC = options.SnoopControl ?? scalable,
            IRO = VtdRegister.IVA / 16,
            MHMV = remapping ? 15 : 0,
        };
    }

    static Ecap AddScalable(Ecap ecap, bool coherent) => ecap with
    {
        NEST = true,
        PRS = ecap.DT,
        ERS = true,
        SRS = true,
        EAFS = true,
        PSS = 19,
        PASID = true,
        PDS = ecap.DT,
        SMTS = true,
        SSADS = true,
        SSTS = true,
        FSTS = true,
        SMPWCS = coherent,
        RPS = true,
        ADMS = true,
        RPRIVS = true,
    };
}
