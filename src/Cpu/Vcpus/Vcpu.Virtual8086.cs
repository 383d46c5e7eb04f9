using Vmm.Cpu.State;

namespace Vmm.Cpu.Vcpus;

/// <content>Virtual-8086 mode: the way in and the way out (SDM 3A §21.2). Its extensions (CR4.VME) are not offered.</content>
public sealed unsafe partial class Vcpu
{
    /// <summary>IRETD at level 0 to flags with VM set: nine words leave the stack (SDM 2A, IRET). False: an exception waits.</summary>
    bool TryEnterVirtual8086()
    {
        var words = stackalloc ulong[9];
        if (!TryPeekStack(words, 0, 9, 4))
        {
            return false;
        }

        if (words[0] > 0xFFFF)
        {
            return Fail(null, Vector.GP, 0);
        }

        Flags.Write(s, words[2] & WritableFlags);
        s->Gpr[4] = (uint)words[3];
        LoadRealModeSegment(Seg.CS, (ushort)words[1]);
        LoadRealModeSegment(Seg.SS, (ushort)words[4]);
        LoadRealModeSegment(Seg.ES, (ushort)words[5]);
        LoadRealModeSegment(Seg.DS, (ushort)words[6]);
        LoadRealModeSegment(Seg.FS, (ushort)words[7]);
        LoadRealModeSegment(Seg.GS, (ushort)words[8]);
        s->NextRip = words[0];
        return true;
    }

    /// <summary>Adds the data segments to the frame of an event that leaves virtual-8086 mode. Returns the number of words.</summary>
    int PushVirtual8086Segments(ulong* frame, int words)
    {
        foreach (var number in VirtualDataSegments)
        {
            frame[words++] = SegmentAt(number)->Selector;
        }

        return words;
    }

    /// <summary>The data segments are null in the handler.</summary>
    void DropVirtual8086Segments()
    {
        foreach (var number in VirtualDataSegments)
        {
            *SegmentAt(number) = new() { Access = 0x1_0000 };
        }
    }

    static ReadOnlySpan<int> VirtualDataSegments => [Seg.ES, Seg.DS, Seg.FS, Seg.GS];
}
