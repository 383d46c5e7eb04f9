namespace Vmm.Specs.VtD;

/// <summary>Offsets of the remapping unit's registers from its base (VT-d §11.4).</summary>
public static class VtdRegister
{
    /// <summary>VER_REG, 32 bits: architecture version.</summary>
    public const int VER = 0x00;

    /// <summary>CAP_REG, 64 bits: capabilities.</summary>
    public const int CAP = 0x08;

    /// <summary>ECAP_REG, 64 bits: extended capabilities.</summary>
    public const int ECAP = 0x10;

    /// <summary>GCMD_REG, 32 bits, write-only: global command.</summary>
    public const int GCMD = 0x18;

    /// <summary>GSTS_REG, 32 bits: global status.</summary>
    public const int GSTS = 0x1C;

    /// <summary>RTADDR_REG, 64 bits: root table address.</summary>
    public const int RTADDR = 0x20;

    /// <summary>CCMD_REG, 64 bits: context command.</summary>
    public const int CCMD = 0x28;

    /// <summary>FSTS_REG, 32 bits: fault status.</summary>
    public const int FSTS = 0x34;

    /// <summary>FECTL_REG, 32 bits: fault event control; data, address and upper address follow.</summary>
    public const int FECTL = 0x38;

    /// <summary>FEDATA_REG, 32 bits.</summary>
    public const int FEDATA = 0x3C;

    /// <summary>FEADDR_REG, 32 bits.</summary>
    public const int FEADDR = 0x40;

    /// <summary>FEUADDR_REG, 32 bits.</summary>
    public const int FEUADDR = 0x44;

    /// <summary>AFLOG_REG, 64 bits: advanced fault log.</summary>
    public const int AFLOG = 0x58;

    /// <summary>PMEN_REG, 32 bits: protected memory enable.</summary>
    public const int PMEN = 0x64;

    /// <summary>PLMBASE_REG, 32 bits.</summary>
    public const int PLMBASE = 0x68;

    /// <summary>PLMLIMIT_REG, 32 bits.</summary>
    public const int PLMLIMIT = 0x6C;

    /// <summary>PHMBASE_REG, 64 bits.</summary>
    public const int PHMBASE = 0x70;

    /// <summary>PHMLIMIT_REG, 64 bits.</summary>
    public const int PHMLIMIT = 0x78;

    /// <summary>IQH_REG, 64 bits: invalidation queue head.</summary>
    public const int IQH = 0x80;

    /// <summary>IQT_REG, 64 bits: invalidation queue tail.</summary>
    public const int IQT = 0x88;

    /// <summary>IQA_REG, 64 bits: invalidation queue address.</summary>
    public const int IQA = 0x90;

    /// <summary>ICS_REG, 32 bits: invalidation completion status.</summary>
    public const int ICS = 0x9C;

    /// <summary>IECTL_REG, 32 bits: invalidation event control; data, address and upper address follow.</summary>
    public const int IECTL = 0xA0;

    /// <summary>IEDATA_REG, 32 bits.</summary>
    public const int IEDATA = 0xA4;

    /// <summary>IEADDR_REG, 32 bits.</summary>
    public const int IEADDR = 0xA8;

    /// <summary>IEUADDR_REG, 32 bits.</summary>
    public const int IEUADDR = 0xAC;

    /// <summary>IQERCD_REG, 64 bits: invalidation queue error record.</summary>
    public const int IQERCD = 0xB0;

    /// <summary>IRTA_REG, 64 bits: interrupt remapping table address.</summary>
    public const int IRTA = 0xB8;

    /// <summary>PQH_REG, 64 bits: page request queue head.</summary>
    public const int PQH = 0xC0;

    /// <summary>PQT_REG, 64 bits: page request queue tail.</summary>
    public const int PQT = 0xC8;

    /// <summary>PQA_REG, 64 bits: page request queue address.</summary>
    public const int PQA = 0xD0;

    /// <summary>PRS_REG, 32 bits: page request status.</summary>
    public const int PRS = 0xDC;

    /// <summary>PECTL_REG, 32 bits: page request event control; data, address and upper address follow.</summary>
    public const int PECTL = 0xE0;

    /// <summary>PEDATA_REG, 32 bits.</summary>
    public const int PEDATA = 0xE4;

    /// <summary>PEADDR_REG, 32 bits.</summary>
    public const int PEADDR = 0xE8;

    /// <summary>PEUADDR_REG, 32 bits.</summary>
    public const int PEUADDR = 0xEC;

    /// <summary>IVA_REG where <see cref="Ecap.IRO"/> is 0xF; IOTLB_REG follows 8 bytes later.</summary>
    public const int IVA = 0xF0;

    /// <summary>IOTLB_REG where <see cref="Ecap.IRO"/> is 0xF.</summary>
    public const int IOTLB = 0xF8;

    /// <summary>First FRCD_REG where <see cref="Cap.FRO"/> is 0x22; each has 128 bits.</summary>
    public const int FRCD = 0x220;
}
