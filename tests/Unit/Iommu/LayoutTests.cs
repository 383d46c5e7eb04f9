using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

/// <summary>Layouts against literal words: each field is set alone, and every field is read back from one dense word.</summary>
public sealed class LayoutTests
{
    [Fact]
    public void Capability_register()
    {
        Assert.Equal(0x0000_0000_0000_0007ul, new Cap { ND = 7 }.Raw);
        Assert.Equal(0x0000_0000_0000_00F8ul, new Cap { AFL = true, RWBF = true, PLMR = true, PHMR = true, CM = true }.Raw);
        Assert.Equal(0x0000_0000_0000_1F00ul, new Cap { SAGAW = 0x1F }.Raw);
        Assert.Equal(0x0000_0000_003F_0000ul, new Cap { MGAW = 0x3F }.Raw);
        Assert.Equal(0x0000_0000_0040_0000ul, new Cap { ZLR = true }.Raw);
        Assert.Equal(0x0000_0003_FF00_0000ul, new Cap { FRO = 0x3FF }.Raw);
        Assert.Equal(0x0000_003C_0000_0000ul, new Cap { SSLPS = 0xF }.Raw);
        Assert.Equal(0x0000_0080_0000_0000ul, new Cap { PSI = true }.Raw);
        Assert.Equal(0x0000_FF00_0000_0000ul, new Cap { NFR = 0xFF }.Raw);
        Assert.Equal(0x003F_0000_0000_0000ul, new Cap { MAMV = 0x3F }.Raw);
        Assert.Equal(0x00C0_0000_0000_0000ul, new Cap { DWD = true, DRD = true }.Raw);
        Assert.Equal(0x0100_0000_0000_0000ul, new Cap { FS1GP = true }.Raw);
        Assert.Equal(0x1800_0000_0000_0000ul, new Cap { PI = true, FS5LP = true }.Raw);
        Assert.Equal(0xC000_0000_0000_0000ul, new Cap { ESIRTPS = true, ESRTPS = true }.Raw);
        var cap = new Cap(0x80D2_008C_222F_0686);
        Assert.Equal((6, true, 6, 47, 0x22, 3, true, 0, 18), (cap.ND, cap.CM, cap.SAGAW, cap.MGAW, cap.FRO, cap.SSLPS, cap.PSI, cap.NFR, cap.MAMV));
    }

    [Theory]
    [InlineData(nameof(Ecap.C), 0)]
    [InlineData(nameof(Ecap.QI), 1)]
    [InlineData(nameof(Ecap.DT), 2)]
    [InlineData(nameof(Ecap.IR), 3)]
    [InlineData(nameof(Ecap.EIM), 4)]
    [InlineData(nameof(Ecap.PT), 6)]
    [InlineData(nameof(Ecap.SC), 7)]
    [InlineData(nameof(Ecap.NEST), 26)]
    [InlineData(nameof(Ecap.PRS), 29)]
    [InlineData(nameof(Ecap.ERS), 30)]
    [InlineData(nameof(Ecap.SRS), 31)]
    [InlineData(nameof(Ecap.NWFS), 33)]
    [InlineData(nameof(Ecap.EAFS), 34)]
    [InlineData(nameof(Ecap.PASID), 40)]
    [InlineData(nameof(Ecap.DIT), 41)]
    [InlineData(nameof(Ecap.PDS), 42)]
    [InlineData(nameof(Ecap.SMTS), 43)]
    [InlineData(nameof(Ecap.VCS), 44)]
    [InlineData(nameof(Ecap.SSADS), 45)]
    [InlineData(nameof(Ecap.SSTS), 46)]
    [InlineData(nameof(Ecap.FSTS), 47)]
    [InlineData(nameof(Ecap.SMPWCS), 48)]
    [InlineData(nameof(Ecap.RPS), 49)]
    [InlineData(nameof(Ecap.ADMS), 52)]
    [InlineData(nameof(Ecap.RPRIVS), 53)]
    public void Extended_capability_bits(string name, int bit)
    {
        var property = typeof(Ecap).GetProperty(name)!;
        Assert.Equal(true, property.GetValue(new Ecap(1ul << bit)));
        Assert.Equal(false, property.GetValue(new Ecap(~(1ul << bit))));
    }

    [Fact]
    public void Extended_capability_numbers()
    {
        var ecap = new Ecap(0x0000_00F8_00F3_FF00);
        Assert.Equal((0x3FF, 15, 31), (ecap.IRO, ecap.MHMV, ecap.PSS));
        Assert.Equal(ecap, new Ecap { IRO = 0x3FF, MHMV = 15, PSS = 31 });
    }

    [Fact]
    public void Global_command_and_status()
    {
        Assert.Equal(
            [0x8000_0000u, 0x4000_0000u, 0x2000_0000u, 0x1000_0000u, 0x0800_0000u, 0x0400_0000u, 0x0200_0000u, 0x0100_0000u, 0x0080_0000u],
            new[]
            {
                new Gcmd { TE = true }.Raw, new Gcmd { SRTP = true }.Raw, new Gcmd { SFL = true }.Raw, new Gcmd { EAFL = true }.Raw,
                new Gcmd { WBF = true }.Raw, new Gcmd { QIE = true }.Raw, new Gcmd { IRE = true }.Raw, new Gcmd { SIRTP = true }.Raw, new Gcmd { CFI = true }.Raw,
            });
        Assert.Equal(
            [0x8000_0000u, 0x4000_0000u, 0x2000_0000u, 0x1000_0000u, 0x0800_0000u, 0x0400_0000u, 0x0200_0000u, 0x0100_0000u, 0x0080_0000u],
            new[]
            {
                new Gsts { TES = true }.Raw, new Gsts { RTPS = true }.Raw, new Gsts { FLS = true }.Raw, new Gsts { AFLS = true }.Raw,
                new Gsts { WBFS = true }.Raw, new Gsts { QIES = true }.Raw, new Gsts { IRES = true }.Raw, new Gsts { IRTPS = true }.Raw, new Gsts { CFIS = true }.Raw,
            });
    }

    [Fact]
    public void Table_and_queue_addresses()
    {
        var root = new Rtaddr(0x0000_1234_5678_9400);
        Assert.Equal((0x1234_5678_9000ul, TranslationTableMode.Scalable), (root.RTA, root.TTM));
        Assert.Equal(root, new Rtaddr { RTA = 0x1234_5678_9000, TTM = TranslationTableMode.Scalable });
        var irta = new Irta(0x0000_1234_5678_980F);
        Assert.Equal((0x1234_5678_9000ul, true, 15, 65536), (irta.IRTA, irta.EIME, irta.S, irta.Entries));
        Assert.Equal(irta, new Irta { IRTA = 0x1234_5678_9000, EIME = true, S = 15 });
        var queue = new Iqa(0x0000_1234_5678_9807);
        Assert.Equal((0x1234_5678_9000ul, true, 7, 0x8_0000u, 32u), (queue.IQA, queue.DW, queue.QS, queue.Bytes, queue.DescriptorBytes));
        Assert.Equal(queue, new Iqa { IQA = 0x1234_5678_9000, DW = true, QS = 7 });
        Assert.Equal(0x8000_0001u, new Pmen { EPM = true, PRS = true }.Raw);
    }

    [Fact]
    public void Invalidation_commands()
    {
        var context = new Ccmd(0xF800_0003_5678_1234);
        Assert.Equal(
            (0x1234, 0x5678, 3, InvalidationGranularity.Selective, InvalidationGranularity.Selective, true),
            (context.DID, context.SID, context.FM, context.CAIG, context.CIRG, context.ICC));
        Assert.Equal(0xA000_0000_0000_0000ul, new Ccmd { ICC = true, CIRG = InvalidationGranularity.Global }.Raw);
        Assert.Equal(0x1000_0000_0000_0000ul, new Ccmd { CAIG = InvalidationGranularity.Domain }.Raw);
        var iotlb = new IotlbCommand(0xB603_ABCD_0000_0000);
        Assert.Equal(
            (0xABCD, true, true, InvalidationGranularity.Selective, InvalidationGranularity.Selective, true),
            (iotlb.DID, iotlb.DW, iotlb.DR, iotlb.IAIG, iotlb.IIRG, iotlb.IVT));
        Assert.Equal(0x0400_0000_0000_0000ul, new IotlbCommand { IAIG = InvalidationGranularity.Domain }.Raw);
        var address = new Iva(0x1234_5678_907F);
        Assert.Equal((0x1234_5678_9000ul, 63, true), (address.ADDR, address.AM, address.IH));
        var record = new Iqercd(0xABCD_1234_0000_0006);
        Assert.Equal((QueueErrorInfo.MisalignedTail, 0x1234, 0xABCD), (record.IQEI, record.ITESID, record.ICESID));
    }

    [Fact]
    public void Fault_status_and_record()
    {
        Assert.Equal((1u, 2u, 0x10u, 0x20u, 0x40u), (Fsts.PFO, Fsts.PPF, Fsts.IQE, Fsts.ICE, Fsts.ITE));
        Assert.Equal(0xAB, new Fsts(0x0000_AB00).FRI);
        Assert.Equal(0x8000_0000u, new EventControl { IM = true }.Raw);
        Assert.Equal(0x4000_0000u, new EventControl { IP = true }.Raw);
        var record = new FaultRecord(0xEABC_DE71_F000_1234, 0xFFFF_0000_8765_4000);
        Assert.Equal(
            (0x1234, true, true, true, FaultReason.FsNotPresent, 0xABCDEu, 2, FaultedRequest.Atomic, true),
            (record.SID, record.PRIV, record.EXE, record.PP, record.FR, record.PV, record.AT, record.Type, record.F));
        Assert.Equal((0xFFFF_0000_8765_4000ul, 0xFFFF), (record.Page, record.InterruptIndex));
        Assert.Equal(0x0000_0000_1000_0000ul, new FaultRecord { Type = FaultedRequest.Page }.High);
        Assert.Equal(0x4000_0000_0000_0000ul, new FaultRecord { Type = FaultedRequest.Read }.High);
    }

    [Fact]
    public void Root_and_context_entries()
    {
        var root = new RootEntry(0x1234_5678_9001, 0);
        Assert.Equal((true, 0x1234_5678_9000ul, false), (root.P, root.CTP, root.HasReserved(48)));
        Assert.True(root.HasReserved(44));
        var context = new ContextEntry(0x1234_5678_900B, 0xAB_CD7A);
        Assert.Equal(
            (true, true, TranslationType.PassThrough, 0x1234_5678_9000ul, 2, 0xABCD, false),
            (context.P, context.FPD, context.TT, context.SSPTPTR, context.AW, context.DID, context.HasReserved(48, 16)));
        Assert.True(context.HasReserved(48, 15));
        var half = new ScalableRootHalf(0x1234_5678_9001);
        Assert.Equal((true, 0x1234_5678_9000ul, false), (half.P, half.CTP, half.HasReserved(48)));
    }

    [Fact]
    public void Scalable_context_and_PASID_entries()
    {
        var context = new ScalableContextEntry(0x1234_5678_9E1F, 0x1F_FFFF);
        Assert.Equal(
            (true, true, true, true, true, 7, 0x1234_5678_9000ul, 0xF_FFFFu, true, 1u << 20),
            (context.P, context.FPD, context.DTE, context.PASIDE, context.PRE, context.PDTS, context.PASIDDIRPTR, context.RID_PASID, context.RID_PRIV, context.PasidLimit));
        Assert.False(context.HasReserved(48, new Ecap { RPS = true, RPRIVS = true }));
        Assert.True(context.HasReserved(48, new Ecap { RPS = true }));
        Assert.True(context.HasReserved(48, new Ecap { RPRIVS = true }));
        var directory = new PasidDirectoryEntry(0x1234_5678_9003);
        Assert.Equal((true, true, 0x1234_5678_9000ul, false), (directory.P, directory.FPD, directory.SMPTBLPTR, directory.HasReserved(48)));
        var entry = new PasidTableEntry(0x1234_5678_92CB, 0x0180_ABCD, 0x9876_5432_10F7);
        Assert.Equal(
            (true, true, 2, PasidTranslationType.Nested, true, 0x1234_5678_9000ul),
            (entry.P, entry.FPD, entry.AW, entry.PGTT, entry.SSADE, entry.SSPTPTR));
        Assert.Equal((0xABCD, true, true), (entry.DID, entry.PWSNP, entry.PGSNP));
        Assert.Equal(
            (true, true, 1, true, true, true, true, 0x9876_5432_1000ul),
            (entry.SRE, entry.ERE, entry.FSPM, entry.WPE, entry.NXE, entry.SMEP, entry.EAFE, entry.FSPTPTR));
        Assert.Equal(entry, new PasidTableEntry
        {
            P = true,
            FPD = true,
            AW = 2,
            PGTT = PasidTranslationType.Nested,
            SSADE = true,
            SSPTPTR = 0x1234_5678_9000,
            DID = 0xABCD,
            PWSNP = true,
            PGSNP = true,
            SRE = true,
            ERE = true,
            FSPM = 1,
            WPE = true,
            NXE = true,
            SMEP = true,
            EAFE = true,
            FSPTPTR = 0x9876_5432_1000,
        });
    }

    [Fact]
    public void Paging_entries()
    {
        var second = new SecondStageEntry(0x000F_EDCB_A987_6B83);
        Assert.Equal(
            (true, true, true, true, true, true, 0x000F_EDCB_A987_6000ul),
            (second.R, second.W, second.PS, second.A, second.D, second.SNP, second.ADDR));
        var first = new FirstStageEntry(0x800F_EDCB_A987_60E7);
        Assert.Equal(
            (true, true, true, true, true, true, true, 0x000F_EDCB_A987_6000ul),
            (first.P, first.RW, first.US, first.A, first.D, first.PS, first.XD, first.ADDR));
    }

    [Fact]
    public void Interrupt_entries()
    {
        var remapped = new Irte(0x1234_5678_00AB_00FF, 0x000B_CDEF);
        Assert.Equal(
            (true, true, true, true, true, 7, false, 0xAB, 0x1234_5678u),
            (remapped.P, remapped.FPD, remapped.DM, remapped.RH, remapped.TM, remapped.DLM, remapped.IM, remapped.V, remapped.DST));
        Assert.Equal((0xCDEF, 3, SourceValidation.BusRange), (remapped.SID, remapped.SQ, remapped.SVT));
        Assert.False(remapped.HasReserved(true, false));
        var posted = new Irte(0x7654_3240_00AB_C003, 0xFEDC_BA98_0004_1234);
        Assert.Equal((true, true, 0xAB, 0xFEDC_BA98_7654_3240ul, false), (posted.URG, posted.IM, posted.V, posted.PDA, posted.HasReserved(true, true)));
        Assert.Equal(posted, new Irte { P = true, FPD = true, URG = true, IM = true, V = 0xAB, PDA = 0xFEDC_BA98_7654_3240, SID = 0x1234, SVT = SourceValidation.RequesterId });
        var control = new PostedControl(0x1234_5678_00E2_0003);
        Assert.Equal((true, true, 0xE2, 0x1234_5678u), (control.ON, control.SN, control.NV, control.NDST));
        var message = new RemappableMessage(0xFEEF_FFFC, 0x0000_ABCD);
        Assert.Equal((true, true, 0xFFFF, 0xFFFF + 0xABCD), (message.IsRemappable, message.SHV, message.Handle, message.Index));
        Assert.Equal(0x8001, new RemappableMessage(0xFEE0_0034, 0).Index);
    }

    [Fact]
    public void Descriptors()
    {
        var context = new InvalidationDescriptor(0x0003_5678_1234_0031, 0);
        Assert.Equal(
            (InvalidationType.ContextCache, 3, 0x1234, 0x5678, 3),
            (context.Type, context.G, context.DID, context.SID, context.FM));
        Assert.Equal((InvalidationType)0x71, new InvalidationDescriptor(0xE01, 0).Type);
        var iotlb = new InvalidationDescriptor(0x1234_00F2, 0x5678_9052);
        Assert.Equal((InvalidationType.Iotlb, 3, 0x1234, 0x5678_9000ul, 18, true), (iotlb.Type, iotlb.G, iotlb.DID, iotlb.Target.ADDR, iotlb.Target.AM, iotlb.Target.IH));
        var interrupt = new InvalidationDescriptor(0x0000_ABCD_F800_0014, 0);
        Assert.Equal((InvalidationType.InterruptEntryCache, true, 31, 0xABCD), (interrupt.Type, interrupt.IsIndexSelective, interrupt.IM, interrupt.IIDX));
        var wait = new InvalidationDescriptor(0xDEAD_BEEF_0000_00F5, 0x1234_567C);
        Assert.Equal(
            (InvalidationType.Wait, true, true, true, true, 0xDEAD_BEEFu, 0x1234_567Cul),
            (wait.Type, wait.IF, wait.SW, wait.FN, wait.PD, wait.StatusData, wait.StatusAddress));
        var pasid = new InvalidationDescriptor(0x000A_BCDE_1234_0036, 0x5678_9007);
        Assert.Equal((InvalidationType.PasidIotlb, 0xABCDEu, 0x1234, 7), (pasid.Type, pasid.PASID, pasid.DID, pasid.Target.AM));
        var device = new InvalidationDescriptor(0x000A_BCDE_5678_0008, 0x9801);
        Assert.Equal((InvalidationType.PasidDeviceTlb, 0xABCDEu, 0x5678, true, true), (device.Type, device.PASID, device.LowSID, device.S, device.IsGlobal));
        var response = new InvalidationDescriptor(0x000A_BCDE_5678_F019, 0xFF8);
        Assert.Equal((InvalidationType.PageGroupResponse, true, 15, 0x5678, 0x1FF), (response.Type, response.PP, response.RC, response.LowSID, response.PRGI));
        var request = new PageRequestDescriptor(0x003A_BCDE_5678_0101, 0x1234_5FFF);
        Assert.Equal(
            (1, true, 0x5678, 0xABCDEu, true, true, true, true, true, 0x1FF, 0x1234_5000ul),
            (request.Type, request.PP, request.RID, request.PASID, request.EXR, request.PMR, request.RDR, request.WRR, request.LPIG, request.PRGI, request.ADDR));
    }

    [Theory]
    [InlineData(0x01, "RootNotPresent")]
    [InlineData(0x0E, "OutputInInterruptRange")]
    [InlineData(0x26, "SourceIdMismatch")]
    [InlineData(0x30, "RootAddressInvalid")]
    [InlineData(0x48, "RidPasidInvalid")]
    [InlineData(0x5D, "SupervisorDisabled")]
    [InlineData(0x77, "FsEntryWriteDenied")]
    [InlineData(0x7C, "SsUpdateNotSnooped")]
    [InlineData(0x87, "SmOutputInInterruptRange")]
    [InlineData(0x90, "FsUpdateNotSnooped")]
    public void Reasons_have_their_numbers(byte number, string name) => Assert.Equal(name, ((FaultReason)number).ToString());

    [Fact]
    public void Only_conditions_found_behind_an_entry_with_FPD_are_qualified() =>
        Assert.Equal(
            [0x01, 0x08, 0x09, 0x0A, 0x20, 0x21, 0x23, 0x25, 0x29, 0x30, 0x31, 0x32, 0x33, 0x38, 0x39, 0x3A, 0x40],
            Enum.GetValues<FaultReason>().Where(static reason => reason != 0 && !FaultReasons.IsQualified(reason)).Select(static reason => (int)reason));
}
