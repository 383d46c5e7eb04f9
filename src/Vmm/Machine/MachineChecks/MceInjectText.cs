using System.Globalization;
using Vmm.Specs.X86;

namespace Vmm.Machine.MachineChecks;

/// <summary>
/// The text that the mce-inject tool reads, and the lines that Linux prints for machine checks: <c>CPU 0 BANK 2 STATUS
/// CORRECTED ADDR 0x1000</c>. Words in any case; numbers as in C, in kernel lines hexadecimal; <c>#</c> begins a comment.
/// </summary>
public static class MceInjectText
{
    const int Limit = 1 << 20;

    static readonly Dictionary<string, ulong> StatusWords = new(StringComparer.OrdinalIgnoreCase)
    {
        ["VAL"] = MciStatus.VAL, ["OVER"] = MciStatus.OVER, ["UC"] = MciStatus.UC, ["EN"] = MciStatus.EN, ["PCC"] = MciStatus.PCC,
        ["S"] = MciStatus.S, ["AR"] = MciStatus.AR, ["MISCV"] = MciStatus.MISCV, ["ADDRV"] = MciStatus.ADDRV,
        ["CORRECTED"] = MciStatus.VAL | MciStatus.EN,
        ["UNCORRECTED"] = MciStatus.VAL | MciStatus.UC | MciStatus.EN,
        ["FATAL"] = MciStatus.VAL | MciStatus.UC | MciStatus.EN | MciStatus.PCC,
        ["UCNA"] = MciStatus.VAL | MciStatus.UC | MciStatus.EN,
        ["SRAO"] = MciStatus.VAL | MciStatus.UC | MciStatus.EN | MciStatus.S,
        ["SRAR"] = MciStatus.VAL | MciStatus.UC | MciStatus.EN | MciStatus.S | MciStatus.AR,
    };

    static readonly Dictionary<string, ulong> McgWords = new(StringComparer.OrdinalIgnoreCase)
    {
        ["RIPV"] = McgStatus.RIPV, ["EIPV"] = McgStatus.EIPV, ["MCIP"] = McgStatus.MCIP,
    };

    /// <summary>Terms whose numbers the hardware or the kernel finds by itself: read and dropped.</summary>
    static readonly Dictionary<string, int> Ignored = new(StringComparer.OrdinalIgnoreCase)
    {
        ["TSC"] = 1, ["TIME"] = 1, ["SOCKETID"] = 1, ["SOCKET"] = 1, ["APIC"] = 1, ["MICROCODE"] = 1, ["MCGCAP"] = 1, ["PPIN"] = 1,
        ["HOLD"] = 0, ["IN_IRQ"] = 0, ["IN_PROC"] = 0, ["EXCP"] = 0, ["POLL"] = 0,
    };

    /// <summary>The machine checks that a text describes, in order.</summary>
    /// <exception cref="FormatException">The text cannot be understood; the message names the line.</exception>
    public static IReadOnlyList<MachineCheckInjection> Parse(string text)
    {
        if (text.Length > Limit)
        {
            throw new FormatException($"a text of more than {Limit} characters is not read");
        }

        var found = new List<Entry>();
        var lines = text.Split('\n');
        for (var i = 0; i < lines.Length; i++)
        {
            new Line(lines[i], i + 1).Read(found);
        }

        return [.. found.Select(e => e.Finish())];
    }

    /// <summary>A machine check while its terms are read.</summary>
    sealed class Entry
    {
        public int Cpu, Bank;
        public ulong Status, Addr, Misc;
        public ulong? McgStatus;
        public bool HasAddr, HasMisc, NoBroadcast;

        public MachineCheckInjection Finish()
        {
            var status = Status | (HasAddr ? MciStatus.ADDRV : 0) | (HasMisc ? MciStatus.MISCV : 0);
            return new()
            {
                Cpu = Cpu, Bank = Bank, Status = status, Addr = Addr, Misc = HasMisc ? Misc : 0, McgStatus = McgStatus,
                Signal = NoBroadcast && new MciStatus(status).Class(true) is not (MachineCheckClass.Corrected or MachineCheckClass.Ucna)
                    ? MachineCheckSignal.Target : MachineCheckSignal.Auto,
            };
        }
    }

    /// <summary>The words of one line.</summary>
    sealed class Line
    {
        const string KernelMark = "[Hardware Error]:";

        readonly string[] words;
        readonly int number;
        readonly bool kernel;
        int at;

        public Line(string text, int number)
        {
            this.number = number;
            var mark = text.IndexOf(KernelMark, StringComparison.Ordinal);
            kernel = mark >= 0;
            text = kernel ? text[(mark + KernelMark.Length)..] : text;
            var comment = text.IndexOf('#', StringComparison.Ordinal);
            text = comment < 0 ? text : text[..comment];
            words = text.Replace(":", " : ", StringComparison.Ordinal).Split([' ', '\t', '\r'], StringSplitOptions.RemoveEmptyEntries);
        }

        FormatException Bad(string what) => new($"line {number}: {what}");

        string? Next => at < words.Length ? words[at] : null;

        bool Take(string word)
        {
            var same = string.Equals(Next, word, StringComparison.OrdinalIgnoreCase);
            at += same ? 1 : 0;
            return same;
        }

        ulong Number(bool hex) => TryNumber(hex, out var value) ? value : throw Bad(Next is { } word ? $"'{word}' is not a number" : "a number is missing at its end");

        bool TryNumber(bool hex, out ulong value)
        {
            value = 0;
            var word = Next ?? "";
            var prefixed = word.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
            var octal = !hex && !prefixed && word.Length > 1 && word[0] == '0';
            var good = octal ? TryOctal(word, out value)
                : ulong.TryParse(prefixed ? word[2..] : word, prefixed || hex ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out value);
            at += good ? 1 : 0;
            return good;
        }

        static bool TryOctal(string word, out ulong value)
        {
            value = 0;
            foreach (var digit in word)
            {
                if (digit is < '0' or > '7' || value >> 61 != 0)
                {
                    return false;
                }

                value = value << 3 | (uint)(digit - '0');
            }

            return true;
        }

        /// <summary>A list of words and numbers, at least one.</summary>
        ulong Bits(Dictionary<string, ulong> known)
        {
            ulong value = 0;
            var first = at;
            while (Next is { } word)
            {
                if (known.TryGetValue(word, out var bits))
                {
                    at++;
                }
                else if (!TryNumber(kernel, out bits))
                {
                    break;
                }

                value |= bits;
            }

            return at != first ? value : throw Bad($"'{words[at - 1]}' needs a value");
        }

        public void Read(List<Entry> found)
        {
            while (Next != null)
            {
                if (Take("CPU"))
                {
                    ReadStart(found);
                }
                else if (Take("MCE"))
                {
                    found.Add(new());
                }
                else if (kernel && found.Count == 0 || kernel && words[at] is "Run" or "Machine" or "Some" or "Fatal" or "Disabling")
                {
                    // Text around a kernel's report.
                    return;
                }
                else
                {
                    ReadTerm(found.Count != 0 ? found[^1] : throw Bad("CPU comes first"));
                }
            }
        }

        void ReadStart(List<Entry> found)
        {
            var entry = new Entry { Cpu = Small(Number(false), "CPU") };
            found.Add(entry);
            if (!Take(":"))
            {
                entry.Bank = Next is { } word && char.IsAsciiDigit(word[0]) ? Small(Number(false), "BANK") : 0;
                return;
            }

            // What the kernel prints: CPU 0: Machine Check Exception: 5 Bank 1: b200000000000150. Corrected ones lack "Exception".
            if (!Take("Machine") || !Take("Check"))
            {
                throw Bad("'Machine Check' is missing after the processor");
            }

            Take("Exception");
            Expect(":");
            var flags = Number(true);
            entry.McgStatus = flags == 0 ? null : flags & 7;
            Expect("Bank");
            entry.Bank = Small(Number(false), "BANK");
            Expect(":");
            entry.Status = Number(true);
        }

        void Expect(string word)
        {
            if (!Take(word))
            {
                throw Bad($"'{word}' is missing");
            }
        }

        int Small(ulong value, string what) => value <= 255 ? (int)value : throw Bad($"{what} {value} is more than 255");

        void ReadTerm(Entry entry)
        {
            var word = Next!;
            at++;
            switch (word.ToUpperInvariant())
            {
                case "BANK":
                    entry.Bank = Small(Number(false), "BANK");
                    break;
                case "STATUS":
                    entry.Status = Bits(StatusWords);
                    break;
                case "MCGSTATUS":
                    entry.McgStatus = Bits(McgWords);
                    break;
                case "ADDR":
                    (entry.Addr, entry.HasAddr) = (Number(kernel), true);
                    break;
                case "MISC":
                    (entry.Misc, entry.HasMisc) = (Number(kernel), true);
                    break;
                case "NOBROADCAST":
                    entry.NoBroadcast = true;
                    break;
                case "RIP":
                    // Where the kernel was: the hardware decides that. The rest of the line belongs to it.
                    at = words.Length;
                    break;
                case "PROCESSOR":
                    Number(kernel);
                    Expect(":");
                    Number(true);
                    break;
                default:
                    if (!Ignored.TryGetValue(word, out var numbers))
                    {
                        throw Bad($"'{word}' is unknown");
                    }

                    for (; numbers > 0; numbers--)
                    {
                        Number(kernel);
                    }

                    break;
            }
        }
    }
}
