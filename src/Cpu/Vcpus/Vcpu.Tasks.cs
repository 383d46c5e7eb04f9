using Vmm.Cpu.State;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Vcpus;

/// <content>
/// Hardware task switches (SDM 3A ch. 8). What can fail before the old task is saved fails in the old task; what fails
/// afterwards (LDTR, segments, page-directory pointers, EIP) fails in the new one, before its first instruction.
/// </content>
public sealed unsafe partial class Vcpu
{
    /// <summary>Flags that a task state or an IRETD frame can set.</summary>
    const ulong WritableFlags = Cr.Arithmetic | Cr.TF | Cr.IF | Cr.DF | Cr.IOPL | Cr.NT | Cr.RF | Cr.VM | Cr.AC | Cr.VIF | Cr.VIP | Cr.ID;

    const int TaskLink = 0, TaskCr3 = 0x1C, TaskTrap = 0x64;

    /// <summary>Words of a task state in the order of both formats: EIP, EFLAGS, eight registers, segments, LDT.</summary>
    const int TaskFlags = 1, TaskRegisters = 2, TaskSegments = 10;

    /// <summary>Where the words are: 32-bit and 16-bit TSS (SDM 3A figures 8-2 and 8-10).</summary>
    readonly record struct TaskLayout(bool Wide)
    {
        public uint MinimumLimit => Wide ? 0x67u : 0x2Bu;

        public uint Start => Wide ? 0x20u : 0x0Eu;

        public int Stride => Wide ? 4 : 2;

        public int Segments => Wide ? 6 : 4;

        /// <summary>Words that a switch saves; the LDT selector, which it only loads, follows them.</summary>
        public int Saved => TaskSegments + Segments;

        public static TaskLayout Of(int type) => new((type & 8) != 0);
    }

    /// <summary>Far JMP or CALL to a TSS or a task gate. False: an exception waits.</summary>
    bool TryFarTask(ushort selector, ulong raw, Descriptor gate, bool call)
    {
        if (gate.DPL < s->Cpl || gate.DPL < (selector & 3))
        {
            return Fail(null, Vector.GP, selector & 0xFFFCu);
        }

        if (gate.Type == 5)
        {
            if (!gate.P)
            {
                return Fail(null, Vector.NP, selector & 0xFFFCu);
            }

            selector = (ushort)(raw >> 16);
        }

        var source = call ? TaskSwitchQualification.Call : TaskSwitchQualification.Jmp;
        return TrySwitchTask(selector, source, 0, (uint)s->NextRip, Flags.Read(s));
    }

    /// <summary>IRET with NT set: back to the task in the link field. False: an exception waits.</summary>
    bool TryTaskReturn()
    {
        if ((s->Efer & Cr.EferLMA) != 0)
        {
            return Fail(null, Vector.GP, 0);
        }

        return TryLoadSystem(s->Tr.Base + TaskLink, out ushort link)
            && TrySwitchTask(link, TaskSwitchQualification.Iret, 0, (uint)s->NextRip, Flags.Read(s) & ~Cr.NT);
    }

    /// <summary>Saves the running task with <paramref name="eip"/> and <paramref name="flags"/>, and loads another. False: an exception waits.</summary>
    /// <param name="selector">Selector of the TSS.</param>
    /// <param name="source">One of the sources in <see cref="TaskSwitchQualification"/>.</param>
    /// <param name="ext">EXT bit of error codes.</param>
    /// <param name="eip">Where the old task goes on.</param>
    /// <param name="flags">Flags of the old task.</param>
    bool TrySwitchTask(ushort selector, int source, uint ext, uint eip, ulong flags)
    {
        if (!TryFindTask(selector, source, ext, out var raw, out var task))
        {
            return false;
        }

        Vmx.Exit(current, ExitReason.TaskSwitch, new TaskSwitchQualification(selector, source).Raw);
        var layout = TaskLayout.Of(task.Type);
        var words = stackalloc uint[TaskSegments + 7];
        uint cr3 = 0;
        ushort trap = 0;
        var nests = source is TaskSwitchQualification.Call or TaskSwitchQualification.Gate;
        if (!TryLoadTaskWords(task.Base, layout, words)
            || (layout.Wide && !(TryLoadSystem(task.Base + TaskCr3, out cr3) && TryLoadSystem(task.Base + TaskTrap, out trap)))
            || (nests && !TrySystem(task.Base + TaskLink, Memory.Access.Write, out _))
            || !TryProbeTaskStores(selector, source))
        {
            return false;
        }

        if (!TrySaveTask(eip, flags))
        {
            return false;
        }

        var oldSelector = s->Tr.Selector;
        if ((!nests && !TryMarkTask(oldSelector, false))
            || (nests && !TryStoreSystem(task.Base + TaskLink, oldSelector))
            || (source != TaskSwitchQualification.Iret && !TryMarkTask(selector, true)))
        {
            return false;
        }

        // From here on faults belong to the new task: nothing rewinds to the instruction.
        Rewind(current);
        s->Tr = Descriptor.Parse(selector, raw | 2ul << 40).ToRegister(selector);
        s->Cr0 |= Cr.Cr0TS;
        s->Dr[7] &= ~0x155ul;
        UpdateDebug();
        LoadTaskRegisters(words, layout, nests);
        return TryEnterTask(words, layout, cr3, ext) && NoteTaskTrap(trap);
    }

    /// <summary>Reads and checks the TSS descriptor.</summary>
    bool TryFindTask(ushort selector, int source, uint ext, out ulong raw, out Descriptor task)
    {
        var back = source == TaskSwitchQualification.Iret;
        var vector = back ? Vector.TS : Vector.GP;
        var error = selector & 0xFFFCu | ext;
        (raw, task) = (0, default);
        if ((selector & 4) != 0)
        {
            return Fail(null, vector, error);
        }

        if (!TryReadDescriptor(selector, vector, ext, out raw))
        {
            return false;
        }

        task = Descriptor.Parse(selector, raw);
        if (task.S || (back ? task.Type is not (3 or 11) : task.Type is not (1 or 9)))
        {
            return Fail(null, vector, error);
        }

        if (!task.P)
        {
            return Fail(null, Vector.NP, error);
        }

        return task.Limit >= TaskLayout.Of(task.Type).MinimumLimit || Fail(null, Vector.TS, error);
    }

    bool TryLoadTaskWords(ulong at, TaskLayout layout, uint* words)
    {
        for (var i = 0; i <= layout.Saved; i++)
        {
            var from = at + layout.Start + (uint)(i * layout.Stride);
            ushort low = 0;
            if (layout.Wide ? !TryLoadSystem(from, out words[i]) : !TryLoadSystem(from, out low))
            {
                return false;
            }

            words[i] = layout.Wide ? words[i] : low;
        }

        return true;
    }

    /// <summary>Everything that the switch writes can be written.</summary>
    bool TryProbeTaskStores(ushort selector, int source)
    {
        var old = TaskLayout.Of(s->Tr.Type);
        var first = s->Tr.Base + old.Start;
        var last = first + (uint)(old.Saved * old.Stride) - 1;
        return TrySystem(first, Memory.Access.Write, out _) && TrySystem(last, Memory.Access.Write, out _)
            && TrySystem(TaskTypeAt(s->Tr.Selector), Memory.Access.Write, out _)
            && (source == TaskSwitchQualification.Iret || TrySystem(TaskTypeAt(selector), Memory.Access.Write, out _));
    }

    bool TrySaveTask(uint eip, ulong flags)
    {
        var layout = TaskLayout.Of(s->Tr.Type);
        for (var i = 0; i < layout.Saved; i++)
        {
            var value = i switch
            {
                0 => eip,
                TaskFlags => (uint)flags,
                < TaskSegments => (uint)s->Gpr[i - TaskRegisters],
                _ => SegmentAt(i - TaskSegments)->Selector,
            };
            var to = s->Tr.Base + layout.Start + (uint)(i * layout.Stride);
            if (layout.Wide ? !TryStoreSystem(to, value) : !TryStoreSystem(to, (ushort)value))
            {
                return false;
            }
        }

        return true;
    }

    ulong TaskTypeAt(ushort selector) => s->GdtBase + (uint)(selector & 0xFFF8) + 5;

    /// <summary>Sets or clears the busy bit of a TSS descriptor.</summary>
    bool TryMarkTask(ushort selector, bool busy) =>
        TryLoadSystem(TaskTypeAt(selector), out byte type) && TryStoreSystem(TaskTypeAt(selector), (byte)(busy ? type | 2 : type & ~2));

    /// <summary>General registers, flags and selectors; the segments' hidden parts are not valid yet.</summary>
    void LoadTaskRegisters(uint* words, TaskLayout layout, bool nests)
    {
        Flags.Write(s, words[TaskFlags] & WritableFlags | (nests ? Cr.NT : 0));
        for (var i = 0; i < 8; i++)
        {
            s->Gpr[i] = words[TaskRegisters + i];
        }

        for (var i = 0; i < 6; i++)
        {
            *SegmentAt(i) = new() { Selector = i < layout.Segments ? (ushort)words[TaskSegments + i] : (ushort)0, Access = 0x1_0000 };
        }

        s->Cpl = IsVirtual8086 ? 3 : s->Cs.Selector & 3;
        s->Ldtr = new() { Selector = (ushort)words[layout.Saved], Access = 0x1_0000 };
        s->Rip = s->NextRip = words[0];
        UpdateMode();
        Vmx.NoteControlRegisters();
    }

    /// <summary>Address space, LDT and segments of the new task. False: an exception waits.</summary>
    bool TryEnterTask(uint* words, TaskLayout layout, uint cr3, uint ext)
    {
        if (layout.Wide && (s->Cr0 & Cr.Cr0PG) != 0 && !TryWriteCr3(cr3))
        {
            return false;
        }

        if (!TryLoadTaskTable(s->Ldtr.Selector, ext))
        {
            return false;
        }

        foreach (var number in (ReadOnlySpan<int>)[Seg.CS, Seg.SS, Seg.DS, Seg.ES, Seg.FS, Seg.GS])
        {
            var selector = SegmentAt(number)->Selector;
            if (IsVirtual8086)
            {
                LoadRealModeSegment(number, selector);
            }
            else if (!TryLoadTaskSegment(number, selector, ext))
            {
                return false;
            }
        }

        UpdateMode();
        return words[0] <= s->Cs.Limit || Fail(null, Vector.GP, ext);
    }

    bool TryLoadTaskTable(ushort selector, uint ext)
    {
        if ((selector & 0xFFFC) == 0)
        {
            return true;
        }

        var error = selector & 0xFFFCu | ext;
        if ((selector & 4) != 0)
        {
            return Fail(null, Vector.TS, error);
        }

        if (!TryReadDescriptor(selector, Vector.TS, ext, out var raw))
        {
            return false;
        }

        var table = Descriptor.Parse(selector, raw);
        if (table.S || table.Type != 2 || !table.P)
        {
            return Fail(null, Vector.TS, error);
        }

        s->Ldtr = table.ToRegister(selector);
        return true;
    }

    /// <summary>A segment of the new task (SDM 3A table 8-1).</summary>
    bool TryLoadTaskSegment(int number, ushort selector, uint ext)
    {
        if ((selector & 0xFFFC) == 0)
        {
            return number is not (Seg.CS or Seg.SS) || Fail(null, Vector.TS, ext);
        }

        if (!TryReadDescriptor(selector, Vector.TS, ext, out var raw))
        {
            return false;
        }

        var descriptor = Descriptor.Parse(selector, raw);
        var rpl = selector & 3;
        var error = selector & 0xFFFCu | ext;
        var allowed = number switch
        {
            Seg.CS => descriptor.IsCode && (descriptor.IsConforming ? descriptor.DPL <= rpl : descriptor.DPL == rpl),
            Seg.SS => descriptor.IsWritableData && descriptor.DPL == s->Cpl && rpl == s->Cpl,
            _ => descriptor.IsReadable && (descriptor.IsConforming || (descriptor.DPL >= s->Cpl && descriptor.DPL >= rpl)),
        };
        if (!allowed)
        {
            return Fail(null, Vector.TS, error);
        }

        if (!descriptor.P)
        {
            return Fail(null, number == Seg.SS ? Vector.SS : Vector.NP, error);
        }

        if (!TryMarkDescriptor(selector, raw, 1))
        {
            return false;
        }

        *SegmentAt(number) = descriptor.ToRegister(selector);
        return true;
    }

    /// <summary>The T bit of the new TSS: #DB before its first instruction (SDM 3B §17.3.1.5). Always true.</summary>
    bool NoteTaskTrap(ushort trap)
    {
        if ((trap & 1) != 0)
        {
            DebugTrap(1 << 15);
        }

        return true;
    }

    /// <summary>Pushes the error code of an event that went through a task gate on the new task's stack.</summary>
    bool TryPushTaskError(uint error, uint ext)
    {
        ulong frame = error;
        if (!TryPushLegacyFrame(s->Ss, s->Gpr[4], &frame, 1, TaskLayout.Of(s->Tr.Type).Stride, s->Cpl, ext, out var newSp))
        {
            return false;
        }

        s->Gpr[4] = newSp;
        return true;
    }
}
