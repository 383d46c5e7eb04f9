using Iced.Intel;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using static Vmm.Cpu.Interpreter.Handlers;

namespace Vmm.Cpu.Interpreter;

/// <summary>Chooses the handler of a decoded instruction and fills in its operands. One case per mnemonic: an opcode table.</summary>
internal static unsafe class Binder
{
    /// <summary>A family of handlers that exists for every operand size and address form.</summary>
    interface IForm
    {
        /// <summary>The member for one combination.</summary>
        static abstract nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress;
    }

    /// <summary>A family that exists for every operand size.</summary>
    interface IRegisterForm
    {
        /// <summary>The member for one size.</summary>
        static abstract nint Get<T>()
            where T : unmanaged;
    }

    static nint BySize<TForm>(int size)
        where TForm : struct, IRegisterForm => size switch
        {
            1 => TForm.Get<byte>(),
            2 => TForm.Get<ushort>(),
            4 => TForm.Get<uint>(),
            _ => TForm.Get<ulong>(),
        };

    static nint BySizeAndAddress<TForm>(int size, int address)
        where TForm : struct, IForm => size switch
        {
            1 => ByAddress<TForm, byte>(address),
            2 => ByAddress<TForm, ushort>(address),
            4 => ByAddress<TForm, uint>(address),
            _ => ByAddress<TForm, ulong>(address),
        };

    static nint ByAddress<TForm, T>(int address)
        where TForm : struct, IForm
        where T : unmanaged => address switch
        {
            0 => TForm.Get<T, Address64Simple>(),
            1 => TForm.Get<T, Address64>(),
            2 => TForm.Get<T, Address32>(),
            _ => TForm.Get<T, AddressChecked>(),
        };

    readonly struct AluRR<TOp> : IRegisterForm
        where TOp : struct, IAlu
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&AluRegReg<TOp, T>);
    }

    readonly struct AluRI<TOp> : IRegisterForm
        where TOp : struct, IAlu
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&AluRegImm<TOp, T>);
    }

    readonly struct AluRM<TOp> : IForm
        where TOp : struct, IAlu
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&AluRegMem<TOp, T, TAddress>);
    }

    readonly struct AluMR<TOp> : IForm
        where TOp : struct, IAlu
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&AluMemReg<TOp, T, TAddress>);
    }

    readonly struct AluMI<TOp> : IForm
        where TOp : struct, IAlu
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&AluMemImm<TOp, T, TAddress>);
    }

    readonly struct UnR<TOp> : IRegisterForm
        where TOp : struct, IUnary
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&UnaryReg<TOp, T>);
    }

    readonly struct UnM<TOp> : IForm
        where TOp : struct, IUnary
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&UnaryMem<TOp, T, TAddress>);
    }

    readonly struct ShR<TOp, TCount> : IRegisterForm
        where TOp : struct, IShift
        where TCount : struct
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&ShiftReg<TOp, T, TCount>);
    }

    readonly struct ShM<TOp, TCount> : IForm
        where TOp : struct, IShift
        where TCount : struct
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&ShiftMem<TOp, T, TCount, TAddress>);
    }

    readonly struct DshR<TCount, TSide> : IRegisterForm
        where TCount : struct
        where TSide : struct
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&DoubleShiftReg<T, TCount, TSide>);
    }

    readonly struct DshM<TCount, TSide> : IForm
        where TCount : struct
        where TSide : struct
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&DoubleShiftMem<T, TCount, TSide, TAddress>);
    }

    readonly struct BtR<TOp, TIndex> : IRegisterForm
        where TOp : struct, IBit
        where TIndex : struct
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&BitReg<TOp, T, TIndex>);
    }

    readonly struct BtM<TOp, TIndex> : IForm
        where TOp : struct, IBit
        where TIndex : struct
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&BitMem<TOp, T, TIndex, TAddress>);
    }

    readonly struct ScR<TOp> : IRegisterForm
        where TOp : struct, IScan
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&ScanReg<TOp, T>);
    }

    readonly struct ScM<TOp> : IForm
        where TOp : struct, IScan
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&ScanMem<TOp, T, TAddress>);
    }

    readonly struct WiR<TOp> : IRegisterForm
        where TOp : struct, IWide
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&WideReg<TOp, T>);
    }

    readonly struct WiM<TOp> : IForm
        where TOp : struct, IWide
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&WideMem<TOp, T, TAddress>);
    }

    readonly struct CmovR<TCondition> : IRegisterForm
        where TCondition : struct, ICondition
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&CmovReg<TCondition, T>);
    }

    readonly struct CmovM<TCondition> : IForm
        where TCondition : struct, ICondition
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&CmovMem<TCondition, T, TAddress>);
    }

    readonly struct SetM<TCondition> : IForm
        where TCondition : struct, ICondition
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&SetccMem<TCondition, TAddress>);
    }

    readonly struct MovRR : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&MovRegReg<T>);
    }

    readonly struct MovRI : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&MovRegImm<T>);
    }

    readonly struct MovRM : IForm
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&MovRegMem<T, TAddress>);
    }

    readonly struct MovMR : IForm
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&MovMemReg<T, TAddress>);
    }

    readonly struct MovMI : IForm
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&MovMemImm<T, TAddress>);
    }

    readonly struct ZxR<TFrom> : IRegisterForm
        where TFrom : unmanaged
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&MovzxReg<T, TFrom>);
    }

    readonly struct ZxM<TFrom> : IForm
        where TFrom : unmanaged
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&MovzxMem<T, TFrom, TAddress>);
    }

    readonly struct SxR<TFrom> : IRegisterForm
        where TFrom : unmanaged
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&MovsxReg<T, TFrom>);
    }

    readonly struct SxM<TFrom> : IForm
        where TFrom : unmanaged
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&MovsxMem<T, TFrom, TAddress>);
    }

    readonly struct LeaF : IForm
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&Lea<T, TAddress>);
    }

    readonly struct XchgRR : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&XchgRegReg<T>);
    }

    readonly struct XchgMR : IForm
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&XchgMemReg<T, TAddress>);
    }

    readonly struct ImulRR : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&ImulRegReg<T>);
    }

    readonly struct ImulRM : IForm
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&ImulRegMem<T, TAddress>);
    }

    readonly struct ImulRRI : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&ImulRegRegImm<T>);
    }

    readonly struct ImulRMI : IForm
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&ImulRegMemImm<T, TAddress>);
    }

    readonly struct BswapF : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&Bswap<T>);
    }

    readonly struct CmpxR : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&CmpxchgReg<T>);
    }

    readonly struct CmpxM : IForm
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&CmpxchgMem<T, TAddress>);
    }

    readonly struct CmpxPair : IForm
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&CmpxchgPair<T, TAddress>);
    }

    readonly struct XaddR : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&XaddReg<T>);
    }

    readonly struct XaddM : IForm
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&XaddMem<T, TAddress>);
    }

    readonly struct PushR<TStack> : IRegisterForm
        where TStack : struct, IStack
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&PushReg<T, TStack>);
    }

    readonly struct PushI<TStack> : IRegisterForm
        where TStack : struct, IStack
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&PushImm<T, TStack>);
    }

    readonly struct PushM<TStack> : IForm
        where TStack : struct, IStack
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&PushMem<T, TAddress, TStack>);
    }

    readonly struct PopR<TStack> : IRegisterForm
        where TStack : struct, IStack
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&PopReg<T, TStack>);
    }

    readonly struct PopM<TStack> : IForm
        where TStack : struct, IStack
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&PopMem<T, TAddress, TStack>);
    }

    readonly struct LeaveF<TStack> : IRegisterForm
        where TStack : struct, IStack
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&Leave<T, TStack>);
    }

    readonly struct JmpR : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&JmpReg<T>);
    }

    readonly struct JmpM : IForm
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&JmpMem<T, TAddress>);
    }

    readonly struct CallR<TStack> : IRegisterForm
        where TStack : struct, IStack
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&CallReg<T, TStack>);
    }

    readonly struct CallM<TStack> : IForm
        where TStack : struct, IStack
    {
        public static nint Get<T, TAddress>()
            where T : unmanaged
            where TAddress : struct, IAddress => Pointer(&CallMem<T, TAddress, TStack>);
    }

    readonly struct RetF<TStack> : IRegisterForm
        where TStack : struct, IStack
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&Ret<T, TStack>);
    }

    readonly struct MovsF : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&Movs<T>);
    }

    readonly struct StosF : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&Stos<T>);
    }

    readonly struct LodsF : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&Lods<T>);
    }

    readonly struct ScasF : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&Scas<T>);
    }

    readonly struct CmpsF : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&Cmps<T>);
    }

    readonly struct InsF : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&Ins<T>);
    }

    readonly struct OutsF : IRegisterForm
    {
        public static nint Get<T>()
            where T : unmanaged => Pointer(&Outs<T>);
    }

    /// <summary>Binds the operation that raises #GP for an instruction of more than 15 bytes. Always ends the block.</summary>
    public static bool BindTooLong(Op* op) => End<TooLong>(op, null);

    /// <summary>Binds an operation without a memory operand or specialised handler.</summary>
    internal static bool Cold<T>(Op* op, Instruction* instruction)
        where T : struct, ICold
    {
        op->Handler = Pointer(&Handlers.Cold<T>);
        op->Extra = (ulong)instruction;
        return false;
    }

    /// <summary>Binds a cold operation that ends the block.</summary>
    internal static bool End<T>(Op* op, Instruction* instruction)
        where T : struct, ICold
    {
        op->Handler = Pointer(&ColdEnd<T>);
        op->Extra = (ulong)instruction;
        return true;
    }

    /// <summary>The pseudo operation behind the last instruction.</summary>
    public static nint FallHandler(uint mode, ulong physical, int length)
    {
        var near = (physical & 0xFFF) + (ulong)length < 4096;
        return (mode & Vcpu.Mode64) != 0
            ? near ? Pointer(&Fall<Rip64, NearLink>) : Pointer(&Fall<Rip64, FarLink>)
            : near ? Pointer(&Fall<Rip32, NearLink>) : Pointer(&Fall<Rip32, FarLink>);
    }

    /// <summary>Fills in the memory operand and returns its address form (0 to 3).</summary>
    internal static int BindAddress(Op* op, ref Instruction instruction, uint mode)
    {
        op->Base = CpuState.ZeroOffset;
        op->Index = CpuState.ZeroOffset;
        op->SegmentBase = CpuState.ZeroOffset;
        var wide = (mode & Vcpu.Mode64) != 0;
        var segment = instruction.MemorySegment is >= Register.ES and <= Register.GS ? instruction.MemorySegment - Register.ES : Seg.DS;
        if (wide && segment < Seg.FS)
        {
            // Overrides other than FS and GS are ignored: the base register alone tells #SS from #GP.
            segment = instruction.MemoryBase is Register.RSP or Register.RBP or Register.ESP or Register.EBP ? Seg.SS : Seg.DS;
        }

        op->Segment = (byte)segment;
        op->Disp = (long)instruction.MemoryDisplacement64;
        op->AddressSize = wide ? (byte)4 : (byte)2;
        var simple = true;
        var baseRegister = instruction.MemoryBase;
        if (baseRegister is Register.RIP or Register.EIP)
        {
            // MemoryDisplacement64 is the target address: make it relative to the block's start.
            op->Base = CpuState.RipOffset;
            op->Disp = (long)(instruction.MemoryDisplacement64 - instruction.IP) + op->Offset;
            if (baseRegister == Register.EIP)
            {
                op->AddressSize = 2;
            }
        }
        else if (baseRegister != Register.None)
        {
            op->Base = (ushort)((baseRegister.GetFullRegister() - Register.RAX) * 8);
            op->AddressSize = (byte)(baseRegister.GetSize() / 2);
        }

        if (instruction.MemoryIndex != Register.None)
        {
            op->Index = (ushort)((instruction.MemoryIndex.GetFullRegister() - Register.RAX) * 8);
            op->Scale = (byte)System.Numerics.BitOperations.Log2((uint)instruction.MemoryIndexScale);
            op->AddressSize = (byte)(instruction.MemoryIndex.GetSize() / 2);
            simple = false;
        }

        if (baseRegister == Register.None && instruction.MemoryIndex == Register.None)
        {
            op->AddressSize = instruction.MemoryDisplSize switch { 8 => 4, 4 => (byte)(wide ? HasAddressPrefix32(ref instruction) ? 2 : 4 : 2), 2 => 1, _ => op->AddressSize };
        }

        if (wide)
        {
            if (segment >= Seg.FS)
            {
                op->SegmentBase = (ushort)CpuState.SegmentBaseOffset(segment);
                simple = false;
            }

            return op->AddressSize == 2 ? 2 : simple ? 0 : 1;
        }

        return (mode & Vcpu.ModeFlat) != 0 && op->AddressSize == 2 && segment < Seg.FS ? 2 : 3;
    }

    /// <summary>In 64-bit mode an absolute 32-bit displacement is sign-extended unless the address size is 32.</summary>
    static bool HasAddressPrefix32(ref Instruction instruction) =>
        instruction.MemoryDisplSize == 4 && instruction.MemoryDisplacement64 >> 32 == 0 && (instruction.MemoryDisplacement64 & 0x8000_0000) != 0;

    /// <summary>Byte offset of an operand register.</summary>
    static ushort Reg(ref Instruction instruction, int operand) => (ushort)Operands.RegisterOffset(instruction.GetOpRegister(operand));

    static int SizeOf(ref Instruction instruction, int operand) =>
        instruction.GetOpKind(operand) == OpKind.Register ? instruction.GetOpRegister(operand).GetSize() : instruction.MemorySize.GetSize();

    static bool IsImmediate(OpKind kind) => kind is >= OpKind.Immediate8 and <= OpKind.Immediate32to64;

    static bool Alu<TOp>(Op* op, ref Instruction instruction, uint mode)
        where TOp : struct, IAlu
    {
        var first = instruction.Op0Kind;
        var second = instruction.Op1Kind;
        if (first == OpKind.Register)
        {
            op->A = Reg(ref instruction, 0);
            var size = instruction.Op0Register.GetSize();
            if (second == OpKind.Register)
            {
                op->B = Reg(ref instruction, 1);
                op->Handler = BySize<AluRR<TOp>>(size);
            }
            else if (second == OpKind.Memory)
            {
                op->Handler = BySizeAndAddress<AluRM<TOp>>(size, BindAddress(op, ref instruction, mode));
            }
            else
            {
                op->Imm = (long)instruction.GetImmediate(1);
                op->Handler = BySize<AluRI<TOp>>(size);
            }

            return false;
        }

        var address = BindAddress(op, ref instruction, mode);
        if (second == OpKind.Register)
        {
            op->B = Reg(ref instruction, 1);
            op->Handler = BySizeAndAddress<AluMR<TOp>>(instruction.Op1Register.GetSize(), address);
        }
        else
        {
            op->Imm = (long)instruction.GetImmediate(1);
            op->Handler = BySizeAndAddress<AluMI<TOp>>(instruction.MemorySize.GetSize(), address);
        }

        return false;
    }

    static bool Unary<TOp>(Op* op, ref Instruction instruction, uint mode)
        where TOp : struct, IUnary
    {
        if (instruction.Op0Kind == OpKind.Register)
        {
            op->A = Reg(ref instruction, 0);
            op->Handler = BySize<UnR<TOp>>(instruction.Op0Register.GetSize());
        }
        else
        {
            op->Handler = BySizeAndAddress<UnM<TOp>>(instruction.MemorySize.GetSize(), BindAddress(op, ref instruction, mode));
        }

        return false;
    }

    static bool Shift<TOp>(Op* op, ref Instruction instruction, uint mode)
        where TOp : struct, IShift
    {
        var byCl = instruction.Op1Kind == OpKind.Register;
        if (!byCl)
        {
            op->Imm = (long)instruction.GetImmediate(1);
        }

        if (instruction.Op0Kind == OpKind.Register)
        {
            op->A = Reg(ref instruction, 0);
            var size = instruction.Op0Register.GetSize();
            op->Handler = byCl ? BySize<ShR<TOp, ByCl>>(size) : BySize<ShR<TOp, ByImm>>(size);
        }
        else
        {
            var size = instruction.MemorySize.GetSize();
            var address = BindAddress(op, ref instruction, mode);
            op->Handler = byCl ? BySizeAndAddress<ShM<TOp, ByCl>>(size, address) : BySizeAndAddress<ShM<TOp, ByImm>>(size, address);
        }

        return false;
    }

    static bool Dsh<TSide>(Op* op, ref Instruction instruction, uint mode)
        where TSide : struct
    {
        var byCl = instruction.Op2Kind == OpKind.Register;
        if (!byCl)
        {
            op->Imm = instruction.Immediate8;
        }

        op->B = Reg(ref instruction, 1);
        var size = instruction.Op1Register.GetSize();
        if (instruction.Op0Kind == OpKind.Register)
        {
            op->A = Reg(ref instruction, 0);
            op->Handler = byCl ? BySize<DshR<ByCl, TSide>>(size) : BySize<DshR<ByImm, TSide>>(size);
        }
        else
        {
            var address = BindAddress(op, ref instruction, mode);
            op->Handler = byCl ? BySizeAndAddress<DshM<ByCl, TSide>>(size, address) : BySizeAndAddress<DshM<ByImm, TSide>>(size, address);
        }

        return false;
    }

    static bool Bit<TOp>(Op* op, ref Instruction instruction, uint mode)
        where TOp : struct, IBit
    {
        var byRegister = instruction.Op1Kind == OpKind.Register;
        if (byRegister)
        {
            op->B = Reg(ref instruction, 1);
        }
        else
        {
            op->Imm = instruction.Immediate8;
        }

        if (instruction.Op0Kind == OpKind.Register)
        {
            op->A = Reg(ref instruction, 0);
            var size = instruction.Op0Register.GetSize();
            op->Handler = byRegister ? BySize<BtR<TOp, IndexReg>>(size) : BySize<BtR<TOp, IndexImm>>(size);
        }
        else
        {
            var size = instruction.MemorySize.GetSize();
            var address = BindAddress(op, ref instruction, mode);
            op->Handler = byRegister ? BySizeAndAddress<BtM<TOp, IndexReg>>(size, address) : BySizeAndAddress<BtM<TOp, IndexImm>>(size, address);
        }

        return false;
    }

    static bool Scan<TOp>(Op* op, ref Instruction instruction, uint mode)
        where TOp : struct, IScan
    {
        op->A = Reg(ref instruction, 0);
        var size = instruction.Op0Register.GetSize();
        if (instruction.Op1Kind == OpKind.Register)
        {
            op->B = Reg(ref instruction, 1);
            op->Handler = BySize<ScR<TOp>>(size);
        }
        else
        {
            op->Handler = BySizeAndAddress<ScM<TOp>>(size, BindAddress(op, ref instruction, mode));
        }

        return false;
    }

    static bool Wide<TOp>(Op* op, ref Instruction instruction, uint mode)
        where TOp : struct, IWide
    {
        if (instruction.Op0Kind == OpKind.Register)
        {
            op->A = Reg(ref instruction, 0);
            op->Handler = BySize<WiR<TOp>>(instruction.Op0Register.GetSize());
        }
        else
        {
            op->Handler = BySizeAndAddress<WiM<TOp>>(instruction.MemorySize.GetSize(), BindAddress(op, ref instruction, mode));
        }

        return false;
    }

    static bool Imul(Op* op, ref Instruction instruction, uint mode)
    {
        if (instruction.OpCount == 1)
        {
            return Wide<Handlers.Imul>(op, ref instruction, mode);
        }

        op->A = Reg(ref instruction, 0);
        var size = instruction.Op0Register.GetSize();
        var immediate = instruction.OpCount == 3;
        if (immediate)
        {
            op->Imm = (long)instruction.GetImmediate(2);
        }

        if (instruction.Op1Kind == OpKind.Register)
        {
            op->B = Reg(ref instruction, 1);
            op->Handler = immediate ? BySize<ImulRRI>(size) : BySize<ImulRR>(size);
        }
        else
        {
            var address = BindAddress(op, ref instruction, mode);
            op->Handler = immediate ? BySizeAndAddress<ImulRMI>(size, address) : BySizeAndAddress<ImulRM>(size, address);
        }

        return false;
    }

    static bool Mov(Op* op, ref Instruction instruction, uint mode)
    {
        var first = instruction.Op0Kind;
        var second = instruction.Op1Kind;
        if (first == OpKind.Register)
        {
            op->A = Reg(ref instruction, 0);
            var size = instruction.Op0Register.GetSize();
            if (second == OpKind.Register)
            {
                op->B = Reg(ref instruction, 1);
                op->Handler = BySize<MovRR>(size);
            }
            else if (IsImmediate(second))
            {
                op->Imm = (long)instruction.GetImmediate(1);
                op->Handler = BySize<MovRI>(size);
            }
            else
            {
                op->Handler = BySizeAndAddress<MovRM>(size, BindAddress(op, ref instruction, mode));
            }

            return false;
        }

        var address = BindAddress(op, ref instruction, mode);
        if (second == OpKind.Register)
        {
            op->B = Reg(ref instruction, 1);
            op->Handler = BySizeAndAddress<MovMR>(instruction.Op1Register.GetSize(), address);
        }
        else
        {
            op->Imm = (long)instruction.GetImmediate(1);
            op->Handler = BySizeAndAddress<MovMI>(instruction.MemorySize.GetSize(), address);
        }

        return false;
    }

    static bool Extend(Op* op, ref Instruction instruction, uint mode, bool signed)
    {
        op->A = Reg(ref instruction, 0);
        var size = instruction.Op0Register.GetSize();
        var from = SizeOf(ref instruction, 1);
        if (instruction.Op1Kind == OpKind.Register)
        {
            op->B = Reg(ref instruction, 1);
            op->Handler = signed
                ? from == 1 ? BySize<SxR<byte>>(size) : from == 2 ? BySize<SxR<ushort>>(size) : BySize<SxR<uint>>(size)
                : from == 1 ? BySize<ZxR<byte>>(size) : BySize<ZxR<ushort>>(size);
            return false;
        }

        var address = BindAddress(op, ref instruction, mode);
        op->Handler = signed
            ? from == 1 ? BySizeAndAddress<SxM<byte>>(size, address) : from == 2 ? BySizeAndAddress<SxM<ushort>>(size, address) : BySizeAndAddress<SxM<uint>>(size, address)
            : from == 1 ? BySizeAndAddress<ZxM<byte>>(size, address) : BySizeAndAddress<ZxM<ushort>>(size, address);
        return false;
    }

    static bool Push(Op* op, ref Instruction instruction, uint mode)
    {
        var size = -instruction.StackPointerIncrement;
        var wide = (mode & Vcpu.Mode64) != 0;
        op->Size = (byte)size;
        switch (instruction.Op0Kind)
        {
            case OpKind.Register when instruction.Op0Register.IsSegmentRegister():
                op->Segment = Seg.SS;
                fixed (Instruction* p = &instruction)
                {
                    return Cold<PushSegment>(op, p);
                }

            case OpKind.Register:
                op->A = Reg(ref instruction, 0);
                op->Segment = Seg.SS;
                op->Handler = wide ? BySize<PushR<Stack64>>(size) : BySize<PushR<StackLegacy>>(size);
                return false;
            case OpKind.Memory:
                var address = BindAddress(op, ref instruction, mode);
                op->Handler = wide ? BySizeAndAddress<PushM<Stack64>>(size, address) : BySizeAndAddress<PushM<StackLegacy>>(size, address);
                return false;
            default:
                op->Imm = (long)instruction.GetImmediate(0);
                op->Segment = Seg.SS;
                op->Handler = wide ? BySize<PushI<Stack64>>(size) : BySize<PushI<StackLegacy>>(size);
                return false;
        }
    }

    static bool Pop(Op* op, ref Instruction instruction, uint mode)
    {
        var size = instruction.StackPointerIncrement;
        var wide = (mode & Vcpu.Mode64) != 0;
        op->Size = (byte)size;
        switch (instruction.Op0Kind)
        {
            case OpKind.Register when instruction.Op0Register.IsSegmentRegister():
                op->Segment = Seg.SS;
                fixed (Instruction* p = &instruction)
                {
                    return End<PopSegment>(op, p);
                }

            case OpKind.Register:
                op->A = Reg(ref instruction, 0);
                op->Segment = Seg.SS;
                op->Handler = wide ? BySize<PopR<Stack64>>(size) : BySize<PopR<StackLegacy>>(size);
                return false;
            default:
                var address = BindAddress(op, ref instruction, mode);
                op->Handler = wide ? BySizeAndAddress<PopM<Stack64>>(size, address) : BySizeAndAddress<PopM<StackLegacy>>(size, address);
                return false;
        }
    }

    static bool Cmov<TCondition>(Op* op, ref Instruction instruction, uint mode)
        where TCondition : struct, ICondition
    {
        op->A = Reg(ref instruction, 0);
        var size = instruction.Op0Register.GetSize();
        if (instruction.Op1Kind == OpKind.Register)
        {
            op->B = Reg(ref instruction, 1);
            op->Handler = BySize<CmovR<TCondition>>(size);
        }
        else
        {
            op->Handler = BySizeAndAddress<CmovM<TCondition>>(size, BindAddress(op, ref instruction, mode));
        }

        return false;
    }

    static bool Setcc<TCondition>(Op* op, ref Instruction instruction, uint mode)
        where TCondition : struct, ICondition
    {
        if (instruction.Op0Kind == OpKind.Register)
        {
            op->A = Reg(ref instruction, 0);
            op->Handler = Pointer(&SetccReg<TCondition>);
        }
        else
        {
            op->Handler = ByAddress<SetM<TCondition>, byte>(BindAddress(op, ref instruction, mode));
        }

        return false;
    }

    static bool Conditional<TCondition>(Op* op, ref Instruction instruction, uint mode, ulong physical)
        where TCondition : struct, ICondition =>
        instruction.FlowControl == FlowControl.ConditionalBranch ? Branch<TCondition>(op, ref instruction, mode, physical)
        : instruction.OpCount == 1 ? Setcc<TCondition>(op, ref instruction, mode)
        : Cmov<TCondition>(op, ref instruction, mode);

    /// <summary>Fills in a relative target; true when it lies in the block's own page.</summary>
    static bool BindTarget(Op* op, ref Instruction instruction, ulong physical, out int width)
    {
        var target = instruction.NearBranchTarget;
        var next = instruction.NextIP;
        width = instruction.Op0Kind switch { OpKind.NearBranch16 => 2, OpKind.NearBranch32 => 4, _ => 8 };
        var delta = (long)(target - next);
        if (width == 4)
        {
            delta = (int)delta;
        }
        else if (width == 2)
        {
            delta = (short)delta;
        }

        op->Imm = op->NextOffset + delta;
        var at = (long)(physical & 0xFFF) + op->Imm;
        return at is >= 0 and < 4096;
    }

    static bool Branch<TCondition>(Op* op, ref Instruction instruction, uint mode, ulong physical)
        where TCondition : struct, ICondition
    {
        var near = BindTarget(op, ref instruction, physical, out var width);
        op->Handler = width switch
        {
            8 => near ? Pointer(&Jcc<TCondition, Rip64, NearLink>) : Pointer(&Jcc<TCondition, Rip64, FarLink>),
            4 => near ? Pointer(&Jcc<TCondition, Rip32, NearLink>) : Pointer(&Jcc<TCondition, Rip32, FarLink>),
            _ => near ? Pointer(&Jcc<TCondition, Rip16, NearLink>) : Pointer(&Jcc<TCondition, Rip16, FarLink>),
        };
        return true;
    }

    static bool Jump(Op* op, ref Instruction instruction, uint mode, ulong physical)
    {
        switch (instruction.Op0Kind)
        {
            case OpKind.Register:
                op->A = Reg(ref instruction, 0);
                op->Handler = BySize<JmpR>(instruction.Op0Register.GetSize());
                return true;
            case OpKind.Memory:
                if (instruction.IsJmpFarIndirect)
                {
                    return Far<FarTransfer>(op, ref instruction, mode);
                }

                op->Handler = BySizeAndAddress<JmpM>(instruction.MemorySize.GetSize(), BindAddress(op, ref instruction, mode));
                return true;
            case OpKind.FarBranch16 or OpKind.FarBranch32:
                return Far<FarTransfer>(op, ref instruction, mode);
            default:
                var near = BindTarget(op, ref instruction, physical, out var width);
                op->Handler = width switch
                {
                    8 => near ? Pointer(&Jmp<Rip64, NearLink>) : Pointer(&Jmp<Rip64, FarLink>),
                    4 => near ? Pointer(&Jmp<Rip32, NearLink>) : Pointer(&Jmp<Rip32, FarLink>),
                    _ => near ? Pointer(&Jmp<Rip16, NearLink>) : Pointer(&Jmp<Rip16, FarLink>),
                };
                return true;
        }
    }

    static bool CallOp(Op* op, ref Instruction instruction, uint mode, ulong physical)
    {
        var wide = (mode & Vcpu.Mode64) != 0;
        op->Segment = Seg.SS;
        switch (instruction.Op0Kind)
        {
            case OpKind.Register:
                op->A = Reg(ref instruction, 0);
                var size = instruction.Op0Register.GetSize();
                op->Handler = wide ? BySize<CallR<Stack64>>(size) : BySize<CallR<StackLegacy>>(size);
                return true;
            case OpKind.Memory:
                if (instruction.IsCallFarIndirect)
                {
                    return Far<FarTransfer>(op, ref instruction, mode);
                }

                var bytes = instruction.MemorySize.GetSize();
                var address = BindAddress(op, ref instruction, mode);
                op->Handler = wide ? BySizeAndAddress<CallM<Stack64>>(bytes, address) : BySizeAndAddress<CallM<StackLegacy>>(bytes, address);
                return true;
            case OpKind.FarBranch16 or OpKind.FarBranch32:
                return Far<FarTransfer>(op, ref instruction, mode);
            default:
                var near = BindTarget(op, ref instruction, physical, out var width);
                op->Handler = width switch
                {
                    8 => near ? Pointer(&Call<ulong, Stack64, Rip64, NearLink>) : Pointer(&Call<ulong, Stack64, Rip64, FarLink>),
                    4 => near ? Pointer(&Call<uint, StackLegacy, Rip32, NearLink>) : Pointer(&Call<uint, StackLegacy, Rip32, FarLink>),
                    _ => near ? Pointer(&Call<ushort, StackLegacy, Rip16, NearLink>) : Pointer(&Call<ushort, StackLegacy, Rip16, FarLink>),
                };
                return true;
        }
    }

    static bool Far<T>(Op* op, ref Instruction instruction, uint mode)
        where T : struct, ICold
    {
        if (instruction.Op0Kind == OpKind.Memory)
        {
            BindAddress(op, ref instruction, mode);
            op->Size = (byte)(instruction.MemorySize.GetSize() - 2);
        }

        fixed (Instruction* p = &instruction)
        {
            return End<T>(op, p);
        }
    }

    static bool ReturnOp(Op* op, ref Instruction instruction, uint mode)
    {
        var wide = (mode & Vcpu.Mode64) != 0;
        op->Segment = Seg.SS;
        op->Imm = instruction.OpCount != 0 ? instruction.Immediate16 : 0;
        var size = instruction.Code switch
        {
            Code.Retnw or Code.Retnw_imm16 => 2,
            Code.Retnd or Code.Retnd_imm16 => 4,
            _ => 8,
        };
        op->Handler = wide ? BySize<RetF<Stack64>>(size) : BySize<RetF<StackLegacy>>(size);
        return true;
    }

    static bool LoopOp(Op* op, ref Instruction instruction, ulong physical)
    {
        BindTarget(op, ref instruction, physical, out var width);
        op->Aux = instruction.Mnemonic switch
        {
            Mnemonic.Loop => 0,
            Mnemonic.Loope => 1,
            Mnemonic.Loopne => 2,
            _ => 3,
        };
        op->AddressSize = instruction.Code switch
        {
            Code.Loop_rel8_16_CX or Code.Loop_rel8_32_CX or Code.Loope_rel8_16_CX or Code.Loope_rel8_32_CX
                or Code.Loopne_rel8_16_CX or Code.Loopne_rel8_32_CX or Code.Jcxz_rel8_16 or Code.Jcxz_rel8_32 => 1,
            Code.Loop_rel8_64_RCX or Code.Loop_rel8_16_RCX or Code.Loope_rel8_64_RCX or Code.Loope_rel8_16_RCX
                or Code.Loopne_rel8_64_RCX or Code.Loopne_rel8_16_RCX or Code.Jrcxz_rel8_64 or Code.Jrcxz_rel8_16 => 4,
            _ => 2,
        };
        op->Handler = width switch { 8 => Pointer(&Loop<Rip64>), 4 => Pointer(&Loop<Rip32>), _ => Pointer(&Loop<Rip16>) };
        return true;
    }

    /// <summary>Segment of a source operand without a base register: only FS and GS overrides count in 64-bit mode.</summary>
    internal static byte SourceSegment(ref Instruction instruction)
    {
        var prefix = instruction.SegmentPrefix;
        return (byte)(prefix == Register.None || (instruction.CodeSize == CodeSize.Code64 && prefix < Register.FS) ? Seg.DS : prefix - Register.ES);
    }

    static bool String<TForm>(Op* op, ref Instruction instruction, int size, Register pointer)
        where TForm : struct, IRegisterForm
    {
        op->Size = (byte)size;
        op->AddressSize = (byte)(pointer.GetSize() / 2);
        op->Segment = SourceSegment(ref instruction);
        op->Aux = instruction.HasRepnePrefix ? RepeatNotEqual : instruction.HasRepPrefix ? Repeat : NoRepeat;
        op->Handler = BySize<TForm>(size);
        return false;
    }

    /// <summary>Register that a string operand kind addresses through, for its width.</summary>
    static Register PointerOf(OpKind kind) => kind switch
    {
        OpKind.MemorySegSI or OpKind.MemoryESDI or OpKind.MemorySegDI => Register.SI,
        OpKind.MemorySegESI or OpKind.MemoryESEDI or OpKind.MemorySegEDI => Register.ESI,
        _ => Register.RSI,
    };

    static bool IsMemory(OpKind kind) => kind is OpKind.Memory;

    /// <summary>Binds one instruction. True when it ends the block.</summary>
    public static bool Bind(Op* op, ref Instruction instruction, uint mode, ulong physical)
    {
        fixed (Instruction* p = &instruction)
        {
            return Bind(op, ref instruction, p, mode, physical);
        }
    }

    static bool Bind(Op* op, ref Instruction instruction, Instruction* p, uint mode, ulong physical)
    {
        var wide = (mode & Vcpu.Mode64) != 0;
        if (instruction.Encoding != EncodingKind.Legacy)
        {
            // VEX, EVEX, XOP and 3DNow!: none is advertised.
            return End<Undefined>(op, p);
        }

        switch (instruction.Mnemonic)
        {
            case Mnemonic.Add:
                return Alu<Add>(op, ref instruction, mode);
            case Mnemonic.Or:
                return Alu<Or>(op, ref instruction, mode);
            case Mnemonic.Adc:
                return Alu<Adc>(op, ref instruction, mode);
            case Mnemonic.Sbb:
                return Alu<Sbb>(op, ref instruction, mode);
            case Mnemonic.And:
                return Alu<And>(op, ref instruction, mode);
            case Mnemonic.Sub:
                return Alu<Sub>(op, ref instruction, mode);
            case Mnemonic.Xor:
                return Alu<Xor>(op, ref instruction, mode);
            case Mnemonic.Cmp:
                return Alu<Cmp>(op, ref instruction, mode);
            case Mnemonic.Test:
                return Alu<Test>(op, ref instruction, mode);
            case Mnemonic.Inc:
                return Unary<Inc>(op, ref instruction, mode);
            case Mnemonic.Dec:
                return Unary<Dec>(op, ref instruction, mode);
            case Mnemonic.Neg:
                return Unary<Neg>(op, ref instruction, mode);
            case Mnemonic.Not:
                return Unary<Not>(op, ref instruction, mode);
            case Mnemonic.Shl or Mnemonic.Sal:
                return Shift<Shl>(op, ref instruction, mode);
            case Mnemonic.Shr:
                return Shift<Shr>(op, ref instruction, mode);
            case Mnemonic.Sar:
                return Shift<Sar>(op, ref instruction, mode);
            case Mnemonic.Rol:
                return Shift<Rol>(op, ref instruction, mode);
            case Mnemonic.Ror:
                return Shift<Ror>(op, ref instruction, mode);
            case Mnemonic.Rcl:
                return Shift<Rcl>(op, ref instruction, mode);
            case Mnemonic.Rcr:
                return Shift<Rcr>(op, ref instruction, mode);
            case Mnemonic.Shld:
                return Dsh<Left>(op, ref instruction, mode);
            case Mnemonic.Shrd:
                return Dsh<Right>(op, ref instruction, mode);
            case Mnemonic.Bt:
                return Bit<BitTest>(op, ref instruction, mode);
            case Mnemonic.Bts:
                return Bit<BitSet>(op, ref instruction, mode);
            case Mnemonic.Btr:
                return Bit<BitReset>(op, ref instruction, mode);
            case Mnemonic.Btc:
                return Bit<BitFlip>(op, ref instruction, mode);
            case Mnemonic.Bsf:
                return Scan<Bsf>(op, ref instruction, mode);
            case Mnemonic.Bsr:
                return Scan<Bsr>(op, ref instruction, mode);
            case Mnemonic.Popcnt:
                return Scan<Popcnt>(op, ref instruction, mode);
            case Mnemonic.Mul:
                return Wide<Mul>(op, ref instruction, mode);
            case Mnemonic.Div:
                return Wide<Div>(op, ref instruction, mode);
            case Mnemonic.Idiv:
                return Wide<Idiv>(op, ref instruction, mode);
            case Mnemonic.Imul:
                return Imul(op, ref instruction, mode);
            case Mnemonic.Mov:
                return BindMov(op, ref instruction, p, mode);
            case Mnemonic.Movzx:
                return Extend(op, ref instruction, mode, false);
            case Mnemonic.Movsx or Mnemonic.Movsxd:
                return Extend(op, ref instruction, mode, true);
            case Mnemonic.Lea:
                op->A = Reg(ref instruction, 0);
                op->Handler = BySizeAndAddress<LeaF>(instruction.Op0Register.GetSize(), BindAddress(op, ref instruction, mode));
                return false;
            case Mnemonic.Xchg:
                return BindExchange<XchgRR, XchgMR>(op, ref instruction, mode);
            case Mnemonic.Xadd:
                return BindExchange<XaddR, XaddM>(op, ref instruction, mode);
            case Mnemonic.Cmpxchg:
                return BindExchange<CmpxR, CmpxM>(op, ref instruction, mode);
            case Mnemonic.Cmpxchg8b:
                op->Handler = ByAddress<CmpxPair, uint>(BindAddress(op, ref instruction, mode));
                return false;
            case Mnemonic.Cmpxchg16b:
                op->Handler = ByAddress<CmpxPair, ulong>(BindAddress(op, ref instruction, mode));
                return false;
            case Mnemonic.Bswap:
                op->A = Reg(ref instruction, 0);
                op->Handler = BySize<BswapF>(instruction.Op0Register.GetSize());
                return false;
            case Mnemonic.Cbw:
                op->Handler = Pointer(&ExtendAccumulator<ushort, byte>);
                return false;
            case Mnemonic.Cwde:
                op->Handler = Pointer(&ExtendAccumulator<uint, ushort>);
                return false;
            case Mnemonic.Cdqe:
                op->Handler = Pointer(&ExtendAccumulator<ulong, uint>);
                return false;
            case Mnemonic.Cwd:
                op->Handler = Pointer(&ExtendToPair<ushort>);
                return false;
            case Mnemonic.Cdq:
                op->Handler = Pointer(&ExtendToPair<uint>);
                return false;
            case Mnemonic.Cqo:
                op->Handler = Pointer(&ExtendToPair<ulong>);
                return false;
            case Mnemonic.Push:
                return Push(op, ref instruction, mode);
            case Mnemonic.Pop:
                return Pop(op, ref instruction, mode);
            case Mnemonic.Jmp:
                return Jump(op, ref instruction, mode, physical);
            case Mnemonic.Call:
                return CallOp(op, ref instruction, mode, physical);
            case Mnemonic.Ret:
                return ReturnOp(op, ref instruction, mode);
            case Mnemonic.Leave:
                op->Segment = Seg.SS;
                op->Handler = wide
                    ? BySize<LeaveF<Stack64>>(instruction.Code == Code.Leavew ? 2 : 8)
                    : BySize<LeaveF<StackLegacy>>(instruction.Code == Code.Leavew ? 2 : 4);
                return false;
            case Mnemonic.Loop or Mnemonic.Loope or Mnemonic.Loopne or Mnemonic.Jcxz or Mnemonic.Jecxz or Mnemonic.Jrcxz:
                return LoopOp(op, ref instruction, physical);
            // CLDEMOTE, PREFETCHITx and RDSSPx are reserved NOPs on processors without them; unwinders rely on the last.
            case Mnemonic.Cldemote or Mnemonic.Rdsspd or Mnemonic.Rdsspq or Mnemonic.Prefetchit0 or Mnemonic.Prefetchit1 or Mnemonic.Nop or Mnemonic.Endbr64 or Mnemonic.Endbr32
                or Mnemonic.Prefetchnta or Mnemonic.Prefetcht0 or Mnemonic.Prefetcht1
                or Mnemonic.Prefetcht2 or Mnemonic.Prefetch or Mnemonic.Prefetchw or Mnemonic.Prefetchwt1 or Mnemonic.Lfence or Mnemonic.Mfence
                or Mnemonic.Sfence or Mnemonic.Reservednop or Mnemonic.Fnop when instruction.Mnemonic != Mnemonic.Fnop:
                op->Handler = Pointer(&Nop);
                return false;
            default:
                return instruction.IsStringInstruction ? BindString(op, ref instruction, p, mode)
                    : instruction.ConditionCode != ConditionCode.None && !IsFloating(instruction.Mnemonic) ? BindCondition(op, ref instruction, mode, physical)
                    : BindSystem(op, ref instruction, p, mode);
        }
    }

    static bool IsFloating(Mnemonic mnemonic) => mnemonic is Mnemonic.Fcmovb or Mnemonic.Fcmovbe or Mnemonic.Fcmove or Mnemonic.Fcmovnb
        or Mnemonic.Fcmovnbe or Mnemonic.Fcmovne or Mnemonic.Fcmovnu or Mnemonic.Fcmovu;

    static bool BindExchange<TRegister, TMemory>(Op* op, ref Instruction instruction, uint mode)
        where TRegister : struct, IRegisterForm
        where TMemory : struct, IForm
    {
        // XCHG is commutative: the decoder may give the memory operand in either place.
        var memory = IsMemory(instruction.Op0Kind) ? 0 : IsMemory(instruction.Op1Kind) ? 1 : -1;
        if (memory < 0)
        {
            op->A = Reg(ref instruction, 0);
            op->B = Reg(ref instruction, 1);
            op->Handler = BySize<TRegister>(instruction.Op0Register.GetSize());
            return false;
        }

        op->B = Reg(ref instruction, 1 - memory);
        op->Handler = BySizeAndAddress<TMemory>(instruction.GetOpRegister(1 - memory).GetSize(), BindAddress(op, ref instruction, mode));
        return false;
    }

    static bool BindMov(Op* op, ref Instruction instruction, Instruction* p, uint mode)
    {
        var first = instruction.Op0Kind == OpKind.Register ? instruction.Op0Register : Register.None;
        var second = instruction.Op1Kind == OpKind.Register ? instruction.Op1Register : Register.None;
        if (first.IsSegmentRegister() || second.IsSegmentRegister())
        {
            if (IsMemory(instruction.Op0Kind) || IsMemory(instruction.Op1Kind))
            {
                BindAddress(op, ref instruction, mode);
            }

            return first.IsSegmentRegister() ? End<MovToSegment>(op, p) : Cold<MovFromSegment>(op, p);
        }

        if (first.IsCR())
        {
            return End<MovToCr>(op, p);
        }

        if (second.IsCR())
        {
            return Cold<MovFromCr>(op, p);
        }

        if (first.IsDR() || second.IsDR())
        {
            return End<MovDr>(op, p);
        }

        return first.IsTR() || second.IsTR() ? End<Undefined>(op, p) : Mov(op, ref instruction, mode);
    }

    static bool BindString(Op* op, ref Instruction instruction, Instruction* p, uint mode)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsd or Mnemonic.Movsq:
                return String<MovsF>(op, ref instruction, instruction.MemorySize.GetSize(), PointerOf(instruction.Op0Kind));
            case Mnemonic.Stosb or Mnemonic.Stosw or Mnemonic.Stosd or Mnemonic.Stosq:
                return String<StosF>(op, ref instruction, instruction.MemorySize.GetSize(), PointerOf(instruction.Op0Kind));
            case Mnemonic.Lodsb or Mnemonic.Lodsw or Mnemonic.Lodsd or Mnemonic.Lodsq:
                return String<LodsF>(op, ref instruction, instruction.MemorySize.GetSize(), PointerOf(instruction.Op1Kind));
            case Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd or Mnemonic.Scasq:
                return String<ScasF>(op, ref instruction, instruction.MemorySize.GetSize(), PointerOf(instruction.Op1Kind));
            case Mnemonic.Cmpsb or Mnemonic.Cmpsw or Mnemonic.Cmpsd or Mnemonic.Cmpsq:
                return String<CmpsF>(op, ref instruction, instruction.MemorySize.GetSize(), PointerOf(instruction.Op0Kind));
            case Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd:
                return String<InsF>(op, ref instruction, instruction.MemorySize.GetSize(), PointerOf(instruction.Op0Kind));
            case Mnemonic.Outsb or Mnemonic.Outsw or Mnemonic.Outsd:
                return String<OutsF>(op, ref instruction, instruction.MemorySize.GetSize(), PointerOf(instruction.Op1Kind));
            default:
                return BindSystem(op, ref instruction, p, mode);
        }
    }

    static bool BindCondition(Op* op, ref Instruction instruction, uint mode, ulong physical) => instruction.ConditionCode switch
    {
        ConditionCode.o => Conditional<CondO>(op, ref instruction, mode, physical),
        ConditionCode.no => Conditional<CondNO>(op, ref instruction, mode, physical),
        ConditionCode.b => Conditional<CondB>(op, ref instruction, mode, physical),
        ConditionCode.ae => Conditional<CondAE>(op, ref instruction, mode, physical),
        ConditionCode.e => Conditional<CondE>(op, ref instruction, mode, physical),
        ConditionCode.ne => Conditional<CondNE>(op, ref instruction, mode, physical),
        ConditionCode.be => Conditional<CondBE>(op, ref instruction, mode, physical),
        ConditionCode.a => Conditional<CondA>(op, ref instruction, mode, physical),
        ConditionCode.s => Conditional<CondS>(op, ref instruction, mode, physical),
        ConditionCode.ns => Conditional<CondNS>(op, ref instruction, mode, physical),
        ConditionCode.p => Conditional<CondP>(op, ref instruction, mode, physical),
        ConditionCode.np => Conditional<CondNP>(op, ref instruction, mode, physical),
        ConditionCode.l => Conditional<CondL>(op, ref instruction, mode, physical),
        ConditionCode.ge => Conditional<CondGE>(op, ref instruction, mode, physical),
        ConditionCode.le => Conditional<CondLE>(op, ref instruction, mode, physical),
        _ => Conditional<CondG>(op, ref instruction, mode, physical),
    };

    static bool BindSystem(Op* op, ref Instruction instruction, Instruction* p, uint mode)
    {
        var wide = (mode & Vcpu.Mode64) != 0;
        for (var i = 0; i < instruction.OpCount; i++)
        {
            if (IsMemory(instruction.GetOpKind(i)))
            {
                BindAddress(op, ref instruction, mode);
                break;
            }
        }

        switch (instruction.Mnemonic)
        {
            case Mnemonic.Hlt:
                return End<Hlt>(op, p);
            case Mnemonic.Cpuid:
                return Cold<CpuidOp>(op, p);
            case Mnemonic.Rdtsc or Mnemonic.Rdtscp:
                return Cold<Rdtsc>(op, p);
            case Mnemonic.Rdpmc:
                return End<Rdpmc>(op, p);
            case Mnemonic.Rdmsr:
                return Cold<Rdmsr>(op, p);
            case Mnemonic.Wrmsr:
                return End<Wrmsr>(op, p);
            case Mnemonic.Clts:
                return End<Clts>(op, p);
            case Mnemonic.Lmsw:
                return End<Lmsw>(op, p);
            case Mnemonic.Smsw:
                return Cold<Smsw>(op, p);
            case Mnemonic.Invlpg:
                return End<Invlpg>(op, p);
            case Mnemonic.Invd or Mnemonic.Wbinvd:
                return Cold<CacheFlush>(op, p);
            case Mnemonic.Clflush:
                return Cold<Clflush>(op, p);
            case Mnemonic.Lgdt or Mnemonic.Lidt:
                return Cold<LoadTable>(op, p);
            case Mnemonic.Sgdt or Mnemonic.Sidt:
                return Cold<StoreTable>(op, p);
            case Mnemonic.Lldt or Mnemonic.Ltr:
                return Cold<LoadSystemSegment>(op, p);
            case Mnemonic.Sldt or Mnemonic.Str:
                return Cold<StoreSystemSegment>(op, p);
            case Mnemonic.Lar or Mnemonic.Lsl or Mnemonic.Verr or Mnemonic.Verw:
                return Cold<DescriptorQuery>(op, p);
            case Mnemonic.Lds or Mnemonic.Les or Mnemonic.Lfs or Mnemonic.Lgs or Mnemonic.Lss:
                return End<LoadFarPointer>(op, p);
            case Mnemonic.Retf:
                op->Segment = Seg.SS;
                op->Size = instruction.Code switch { Code.Retfw or Code.Retfw_imm16 => 2, Code.Retfd or Code.Retfd_imm16 => 4, _ => 8 };
                return End<FarReturn>(op, p);
            case Mnemonic.Iret or Mnemonic.Iretd or Mnemonic.Iretq:
                op->Segment = Seg.SS;
                op->Size = instruction.Code switch { Code.Iretw => 2, Code.Iretd => 4, _ => 8 };
                return End<Iret>(op, p);
            case Mnemonic.Syscall or Mnemonic.Sysret or Mnemonic.Sysretq or Mnemonic.Sysenter or Mnemonic.Sysexit or Mnemonic.Sysexitq:
                return End<SystemCall>(op, p);
            case Mnemonic.Swapgs:
                return Cold<Swapgs>(op, p);
            case Mnemonic.Int or Mnemonic.Int3 or Mnemonic.Int1 or Mnemonic.Into:
                return End<Interrupt>(op, p);
            case Mnemonic.Bound:
                return Cold<Bound>(op, p);
            case Mnemonic.Cli:
                return Cold<InterruptFlag>(op, p);
            case Mnemonic.Sti:
                return End<InterruptFlag>(op, p);
            case Mnemonic.Pushf or Mnemonic.Pushfd or Mnemonic.Pushfq:
                op->Segment = Seg.SS;
                op->Size = (byte)-instruction.StackPointerIncrement;
                return Cold<Pushf>(op, p);
            case Mnemonic.Popf or Mnemonic.Popfd or Mnemonic.Popfq:
                op->Segment = Seg.SS;
                op->Size = (byte)instruction.StackPointerIncrement;
                return End<Popf>(op, p);
            case Mnemonic.Stac or Mnemonic.Clac:
                return Cold<AccessFlag>(op, p);
            case Mnemonic.Pause:
                return Cold<Pause>(op, p);
            case Mnemonic.Serialize:
                return End<Serialize>(op, p);
            case Mnemonic.In:
                op->Size = (byte)instruction.Op0Register.GetSize();
                return Cold<PortAccess>(op, p);
            case Mnemonic.Out:
                op->Size = (byte)instruction.Op1Register.GetSize();
                return Cold<PortAccess>(op, p);
            case Mnemonic.Enter:
                op->Segment = Seg.SS;
                op->Size = instruction.Code switch { Code.Enterw_imm16_imm8 => 2, Code.Enterd_imm16_imm8 => 4, _ => 8 };
                return Cold<Enter>(op, p);
            case Mnemonic.Pusha or Mnemonic.Popa:
                op->Size = 2;
                return Cold<PushAll>(op, p);
            case Mnemonic.Pushad or Mnemonic.Popad:
                op->Size = 4;
                return Cold<PushAll>(op, p);
            case Mnemonic.Aaa or Mnemonic.Aas or Mnemonic.Aam or Mnemonic.Aad or Mnemonic.Daa or Mnemonic.Das or Mnemonic.Salc or Mnemonic.Arpl:
                return Cold<Decimal>(op, p);
            case Mnemonic.Xlatb:
                op->AddressSize = instruction.MemoryBase switch { Register.BX => 1, Register.EBX => 2, _ => 4 };
                op->Segment = SourceSegment(ref instruction);
                return Cold<Xlat>(op, p);
            case Mnemonic.Lahf or Mnemonic.Sahf or Mnemonic.Clc or Mnemonic.Stc or Mnemonic.Cmc or Mnemonic.Cld or Mnemonic.Std:
                return Cold<FlagOp>(op, p);
            case Mnemonic.Movnti:
                return Mov(op, ref instruction, mode);
            default:
                _ = wide;
                return BindExtension(op, ref instruction, p, mode);
        }
    }

    /// <summary>Instructions that are of interest to a hypervisor only.</summary>
    static bool TryBindVmx(Op* op, Instruction* p, out bool ends)
    {
        ends = true;
        switch (p->Mnemonic)
        {
            case Mnemonic.Vmcall or Mnemonic.Vmclear or Mnemonic.Vmlaunch or Mnemonic.Vmptrld or Mnemonic.Vmptrst or Mnemonic.Vmread
                or Mnemonic.Vmresume or Mnemonic.Vmwrite or Mnemonic.Vmxoff or Mnemonic.Vmxon or Mnemonic.Invept or Mnemonic.Invvpid:
                return End<VmxInstruction>(op, p);
            case Mnemonic.Rdrand or Mnemonic.Rdseed:
                return End<RandomNumber>(op, p);
            case Mnemonic.Monitor or Mnemonic.Mwait:
                return End<MonitorWait>(op, p);
            case Mnemonic.Invpcid:
                return End<InvalidatePcid>(op, p);
            case Mnemonic.Xsetbv:
                return End<Xsetbv>(op, p);
            default:
                ends = false;
                return false;
        }
    }

    /// <summary>Instruction set extensions, each with a binder of its own; what none of them knows raises #UD.</summary>
    static bool BindExtension(Op* op, ref Instruction instruction, Instruction* p, uint mode)
    {
        if (TryBindVmx(op, p, out var end))
        {
            return end;
        }

        if (SseBinder.TryBind(op, ref instruction, p, mode, out var ends))
        {
            return ends;
        }

        return !X87Binder.TryBind(op, p) && !SseFloatBinder.TryBind(op, p, mode) && End<Undefined>(op, p);
    }
}
