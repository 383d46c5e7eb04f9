using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Iced.Intel;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Platform.Memory;

namespace Vmm.Cpu.Interpreter;

/// <summary>
/// Decoded code of one machine, found by physical address and mode, dropped when its bytes change. Shared by all vCPUs.
/// Memory is bounded: when the arena is full everything is dropped at once.
/// </summary>
public sealed unsafe class CodeCache : ICodeWatcher, IDisposable
{
    /// <summary>Most instructions in a block.</summary>
    const int MaxInstructions = 48;

    const int ChunkBytes = 1 << 20;
    const int MaxChunks = 96;
    const int Buckets = 1 << 16;

    readonly GuestMemory memory;
    readonly List<nint> chunks = [];
    readonly List<Vcpu> vcpus = [];
    readonly Dictionary<ulong, nint> pages = [];
    readonly nint[] buckets = new nint[Buckets];
    readonly CodeBytes reader = new();
    readonly Decoder[] decoders;
    readonly Block* cut;
    readonly nint[] unresolved = new nint[64];
    int unresolvedAt;
    int resolvedAt;
    int chunk = -1;
    int used;

    /// <summary>Creates an empty cache and starts watching <paramref name="memory"/>.</summary>
    public CodeCache(GuestMemory memory)
    {
        this.memory = memory;
        memory.CodeWatcher = this;
        // F3 0F BC/BD and F3 0F 09 are BSF, BSR and WBINVD where BMI1, LZCNT and WBNOINVD are not advertised.
        const DecoderOptions Options = DecoderOptions.NoMPFX_0FBC | DecoderOptions.NoMPFX_0FBD | DecoderOptions.NoWbnoinvd;
        decoders = [Decoder.Create(16, reader, Options), Decoder.Create(32, reader, Options), Decoder.Create(64, reader, Options)];
        // Safe: one block and its operations, owned here and freed in Dispose.
        cut = (Block*)NativeMemory.AlignedAlloc((nuint)(sizeof(Block) + sizeof(Op) * (MaxInstructions + 1)), 64);
        *cut = default;
    }

    /// <summary>Blocks decoded since the machine was built.</summary>
    public ulong Decoded { get; private set; }

    /// <summary>Blocks dropped because their bytes changed.</summary>
    public ulong Invalidated { get; private set; }

    internal void Attach(Vcpu cpu) => vcpus.Add(cpu);

    /// <summary>The block at the vCPU's RIP, or null when fetching it raised an exception. Links the branch that asked.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal Block* Lookup(Vcpu cpu)
    {
        var s = cpu.State;
        var link = s->LinkOp;
        s->LinkOp = null;
        ResolveOne();
        var rip = s->Rip;
        var slot = Handlers.JumpSlot(s, rip);
        Block* block;
        if (slot->Rip == rip && slot->Tag == s->CodeTag && slot->Block->Valid != 0)
        {
            block = slot->Block;
        }
        else
        {
            block = Find(cpu, s, rip, out var flushed);
            if (block == null)
            {
                return null;
            }

            if (flushed)
            {
                link = null;
            }

            // Segmented code is not cached by RIP: its linear address depends on CS too.
            if (block->Valid != 0 && (s->Mode & (Vcpu.ModeFlat | Vcpu.Mode64)) != 0)
            {
                *slot = new() { Rip = rip, Tag = s->CodeTag, Block = block };
            }
        }

        if (link != null && block->Valid != 0 && (s->Mode & (Vcpu.ModeFlat | Vcpu.Mode64)) != 0)
        {
            link->Link = block;
            link->Extra = s->CodeTag;
        }

        return block;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    Block* Find(Vcpu cpu, CpuState* s, ulong rip, out bool flushed)
    {
        flushed = false;
        var wide = (s->Mode & Vcpu.Mode64) != 0;
        if (!wide && rip > s->Cs.Limit)
        {
            cpu.Fail(null, Vector.GP, 0);
            return null;
        }

        var linear = wide ? rip : s->Cs.Base + rip & 0xFFFF_FFFF;
        if (!cpu.TryTranslateFetch(linear, out var physical))
        {
            return null;
        }

        for (var block = (Block*)buckets[Bucket(physical, s->Mode)]; block != null; block = block->HashNext)
        {
            if (block->Physical == physical && block->Mode == s->Mode && block->Valid != 0)
            {
                if (block->SecondPage == ulong.MaxValue)
                {
                    return block;
                }

                if (!cpu.TryTranslateFetch((linear & ~0xFFFul) + 4096, out var second))
                {
                    return null;
                }

                if (second == block->SecondPage)
                {
                    return block;
                }
            }
        }

        return Decode(cpu, s, rip, linear, physical, out flushed);
    }

    static int Bucket(ulong physical, uint mode) => (int)((physical ^ physical >> 16 ^ mode * 0x9E3Bu) & Buckets - 1);

    Block* Decode(Vcpu cpu, CpuState* s, ulong rip, ulong linear, ulong physical, out bool flushed)
    {
        flushed = false;
        var mode = s->Mode;
        var offset = (int)(physical & 0xFFF);
        var available = 4096 - offset;
        if ((mode & (Vcpu.ModeFlat | Vcpu.Mode64)) == 0)
        {
            available = (int)Math.Min((ulong)available, s->Cs.Limit - rip + 1);
        }

        var host = memory.Pointer(physical);
        var second = ulong.MaxValue;
        var decoder = decoders[(mode & Vcpu.Mode64) != 0 ? 2 : (mode & Vcpu.Mode32) != 0 ? 1 : 0];
        decoder.IP = rip;
        if (host != null)
        {
            reader.Start(host, available);
        }
        else
        {
            FetchUncached(cpu, physical, Math.Min(available, 16));
        }

        var space = Reserve(sizeof(Block) + (MaxInstructions + 1) * (sizeof(Op) + sizeof(Instruction)) + 64, ref flushed);
        var block = (Block*)space;
        var ops = block->Ops;
        var instructions = (Instruction*)(ops + MaxInstructions + 1);
        var count = 0;
        var length = 0;
        var ended = false;
        while (count < MaxInstructions && !ended)
        {
            if (count > 0 && (length >= available || host == null))
            {
                break;
            }

            decoder.Decode(out instructions[count]);
            ref var instruction = ref instructions[count];
            if (instruction.IsInvalid && decoder.LastError == DecoderError.NoMoreBytes && reader.Taken - length < 15)
            {
                if (count > 0)
                {
                    break;
                }

                if (!TryFetchAcross(cpu, s, decoder, rip, linear, physical, available, ref instruction, ref second))
                {
                    return null;
                }
            }

            var tooLong = instruction.IsInvalid && reader.Taken - length >= 15;
            var op = ops + count;
            *op = default;
            var size = instruction.IsInvalid ? 1 : instruction.Length;
            op->Offset = (ushort)length;
            length += size;
            op->NextOffset = (ushort)length;
            ended = tooLong ? Binder.BindTooLong(op) : Binder.Bind(op, ref instruction, mode, physical);
            count++;
            if (second != ulong.MaxValue)
            {
                break;
            }
        }

        Finish(block, ops, count, length, mode, physical, second, host != null);
        return block;
    }

    void Finish(Block* block, Op* ops, int count, int length, uint mode, ulong physical, ulong second, bool cache)
    {
        var tail = ops + count;
        *tail = default;
        tail->Offset = tail->NextOffset = (ushort)length;
        tail->Handler = Binder.FallHandler(mode, physical, length);
        for (var i = 0; i < count; i++)
        {
            ops[i].Remaining = (ushort)(count - 1 - i);
        }

        *block = new()
        {
            Physical = physical, SecondPage = second, Mode = mode, Count = count, Length = length, Valid = 1,
        };
        used += (int)((byte*)(ops + count + 1) - ((byte*)chunks[chunk] + used));
        // Decoded forms of cold instructions move down behind the operations.
        for (var i = 0; i < count; i++)
        {
            if (ops[i].Extra != 0)
            {
                var from = (Instruction*)ops[i].Extra;
                var to = (Instruction*)((byte*)chunks[chunk] + used);
                *to = *from;
                ops[i].Extra = (ulong)to;
                used += (sizeof(Instruction) + 7) & ~7;
            }
        }

        Decoded++;
        if (!cache)
        {
            // Code outside RAM is decoded anew each time it is entered.
            block->Valid = 0;
            return;
        }

        if (!Resolve(block))
        {
            unresolved[unresolvedAt++ & unresolved.Length - 1] = (nint)block;
        }

        var bucket = Bucket(physical, mode);
        block->HashNext = (Block*)buckets[bucket];
        buckets[bucket] = (nint)block;
        AddToPage(block, physical & ~0xFFFul, false);
        if (second != ulong.MaxValue)
        {
            AddToPage(block, second, true);
        }
    }

    /// <summary>Lets operations lead straight to their handlers' code. False when a handler has not been compiled yet.</summary>
    static bool Resolve(Block* block)
    {
        var good = true;
        var ops = block->Ops;
        for (var i = 0; i <= block->Count; i++)
        {
            // Cold instructions are compiled in tiers: their code moves.
            if (ops[i].Instruction == null)
            {
                good &= HandlerEntry.TryResolve(ref ops[i].Handler);
            }
        }

        return good;
    }

    /// <summary>Looks at one of the blocks that had a handler without code when they were decoded: it has run meanwhile.</summary>
    void ResolveOne()
    {
        ref var slot = ref unresolved[resolvedAt++ & unresolved.Length - 1];
        var block = (Block*)slot;
        if (block != null && (block->Valid == 0 || Resolve(block)))
        {
            slot = 0;
        }
    }

    void AddToPage(Block* block, ulong page, bool isSecond)
    {
        ref var head = ref CollectionsMarshal.GetValueRefOrAddDefault(pages, page, out _);
        if (isSecond)
        {
            block->SecondPageNext = (Block*)head;
        }
        else
        {
            block->PageNext = (Block*)head;
        }

        head = (nint)block;
        if (!memory.IsWatched(new(page)) && memory.Watch(new(page)))
        {
            foreach (var cpu in vcpus)
            {
                cpu.ProtectPage(page);
            }
        }
    }

    static Block* NextOnPage(Block* block, ulong page) =>
        (block->Physical & ~0xFFFul) == page ? block->PageNext : block->SecondPageNext;

    /// <summary>Decodes an instruction whose bytes continue on the next page.</summary>
    bool TryFetchAcross(
        Vcpu cpu, CpuState* s, Decoder decoder, ulong rip, ulong linear, ulong physical, int available, ref Instruction instruction, ref ulong second)
    {
        var limited = (s->Mode & (Vcpu.ModeFlat | Vcpu.Mode64)) == 0;
        if (available < 4096 - (int)(physical & 0xFFF) || (limited && s->Cs.Limit != uint.MaxValue && s->Cs.Limit - rip < (ulong)available))
        {
            // The code segment ends inside the instruction.
            return cpu.Fail(null, Vector.GP, 0);
        }

        var next = (linear & ~0xFFFul) + 4096;
        if ((s->Mode & Vcpu.Mode64) == 0)
        {
            next &= 0xFFFF_FFFF;
        }

        if (!cpu.TryTranslateFetch(next, out var secondPhysical))
        {
            return false;
        }

        var buffer = stackalloc byte[32];
        cpu.FetchBytes(physical, buffer, available);
        cpu.FetchBytes(secondPhysical, buffer + available, 15);
        reader.Start(buffer, available + 15);
        decoder.IP = rip;
        decoder.Decode(out instruction);
        second = secondPhysical;
        return true;
    }

    void FetchUncached(Vcpu cpu, ulong physical, int length)
    {
        cpu.FetchBytes(physical, uncached, length);
        reader.Start(uncached, length);
    }

    readonly byte* uncached = (byte*)NativeMemory.AllocZeroed(32);

    /// <summary>
    /// The block at RIP cut to at most <paramref name="limit"/> instructions, in a buffer that the next call reuses.
    /// Null when fetching raised an exception.
    /// </summary>
    internal Block* DecodeLimited(Vcpu cpu, int limit)
    {
        var block = Lookup(cpu);
        if (block == null || block->Count <= limit)
        {
            return block;
        }

        *cut = *block;
        var ops = block->Ops;
        var cutOps = cut->Ops;
        cut->Count = limit;
        cut->Length = ops[limit].Offset;
        for (var i = 0; i < limit; i++)
        {
            cutOps[i] = ops[i];
            cutOps[i].Remaining = (ushort)(limit - 1 - i);
        }

        cutOps[limit] = new()
        {
            Offset = ops[limit].Offset, NextOffset = ops[limit].Offset,
            Handler = Handlers.Pointer(&Handlers.Cut),
        };
        return cut;
    }

    /// <inheritdoc/>
    public bool CodeWritten(Gpa address, int length)
    {
        var page = address.Value & ~0xFFFul;
        ref var head = ref CollectionsMarshal.GetValueRefOrNullRef(pages, page);
        if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref head))
        {
            return false;
        }

        var first = address.Value;
        var last = first + (ulong)length;
        DropIfOverlaps(cut, first, last);
        Block* previous = null;
        for (var block = (Block*)head; block != null;)
        {
            var next = NextOnPage(block, page);
            if (block->Valid == 0 || DropIfOverlaps(block, first, last))
            {
                if (previous == null)
                {
                    head = (nint)next;
                }
                else if ((previous->Physical & ~0xFFFul) == page)
                {
                    previous->PageNext = next;
                }
                else
                {
                    previous->SecondPageNext = next;
                }
            }
            else
            {
                previous = block;
            }

            block = next;
        }

        if (head != 0)
        {
            return true;
        }

        pages.Remove(page);
        return false;
    }

    bool DropIfOverlaps(Block* block, ulong first, ulong last)
    {
        if (block->Valid == 0)
        {
            return false;
        }

        var inFirst = Math.Min((ulong)block->Length, 4096 - (block->Physical & 0xFFF));
        var overlaps = (first < block->Physical + inFirst && block->Physical < last)
            || (block->SecondPage != ulong.MaxValue && first < block->SecondPage + ((ulong)block->Length - inFirst) && block->SecondPage < last);
        if (!overlaps)
        {
            return false;
        }

        block->Valid = 0;
        var ops = block->Ops;
        for (var i = 0; i <= block->Count; i++)
        {
            ops[i].Handler = Handlers.Stale;
        }

        block->Count = Block.Dropped;

        if (block != cut)
        {
            Unhash(block);
            Invalidated++;
        }

        return true;
    }

    void Unhash(Block* block)
    {
        ref var bucket = ref buckets[Bucket(block->Physical, block->Mode)];
        if (bucket == (nint)block)
        {
            bucket = (nint)block->HashNext;
            return;
        }

        for (var at = (Block*)bucket; at != null; at = at->HashNext)
        {
            if (at->HashNext == block)
            {
                at->HashNext = block->HashNext;
                return;
            }
        }
    }

    byte* Reserve(int size, ref bool flushed)
    {
        used = (used + 63) & ~63;
        if (chunk < 0 || used + size > ChunkBytes)
        {
            if (chunk + 1 == MaxChunks)
            {
                Clear();
                flushed = true;
            }

            chunk++;
            used = 0;
            if (chunk == chunks.Count)
            {
                chunks.Add((nint)NativeMemory.AlignedAlloc(ChunkBytes, 64));
            }
        }

        return (byte*)chunks[chunk] + used;
    }

    /// <summary>Drops all decoded code.</summary>
    public void Clear()
    {
        foreach (var page in pages.Keys.ToArray())
        {
            if (memory.IsRam(new(page), 1))
            {
                memory.Unwatch(new(page));
            }
        }

        pages.Clear();
        Array.Clear(buckets);
        Array.Clear(unresolved);
        foreach (var cpu in vcpus)
        {
            cpu.ForgetCode();
        }

        cut->Valid = 0;
        chunk = -1;
        used = 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var block in chunks)
        {
            NativeMemory.AlignedFree((void*)block);
        }

        chunks.Clear();
        chunk = -1;
        NativeMemory.AlignedFree(cut);
        NativeMemory.Free(uncached);
    }

    /// <summary>Feeds the decoder from host memory.</summary>
    sealed class CodeBytes : CodeReader
    {
        byte* at;
        int length;

        /// <summary>Bytes taken since <see cref="Start"/>.</summary>
        public int Taken { get; private set; }

        public void Start(byte* bytes, int count)
        {
            at = bytes;
            length = count;
            Taken = 0;
        }

        public override int ReadByte() => Taken < length ? at[Taken++] : -1;
    }
}
