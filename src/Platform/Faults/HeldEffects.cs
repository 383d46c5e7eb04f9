using Vmm.Platform.Dma;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Platform.Faults;

/// <summary>
/// Transfers and interrupts that rules hold back. They happen later, between turns, through the port of the device that sent
/// them, with whatever translation there is then.
/// </summary>
sealed class HeldEffects : ITimerTarget
{
    /// <summary>Effects that may wait at once: at most this many pages of data.</summary>
    public const int Limit = 256;

    /// <summary>What an effect waits for.</summary>
    public enum Until : byte
    {
        /// <summary>A virtual time.</summary>
        Time = 1,

        /// <summary>The next write of the same device.</summary>
        NextWrite,

        /// <summary>The next invalidation.</summary>
        Invalidation,
    }

    /// <summary>What waits. Without data it is a read, or, with messages left, an interrupt.</summary>
    public sealed record Effect(string Rule, Until Until, Bdf Device, ulong Address, byte[] Data)
    {
        public ulong Due { get; set; }

        public uint? Pasid { get; init; }

        /// <summary>Bytes of a read.</summary>
        public int Length { get; init; }

        /// <summary>Interrupt messages still to be sent.</summary>
        public ulong Messages { get; set; }

        /// <summary>Cycles between them.</summary>
        public ulong Period { get; init; }
    }

    readonly VirtualClock clock;
    readonly DmaFabric fabric;
    readonly ClockTimer timer;
    readonly List<Effect> effects = [];

    public HeldEffects(VirtualClock clock, DmaFabric fabric)
    {
        this.clock = clock;
        this.fabric = fabric;
        timer = clock.CreateTimer("faults", this);
    }

    public int Count => effects.Count;

    /// <summary>Adds an effect. False when too many wait already.</summary>
    public bool TryAdd(Effect effect)
    {
        if (effects.Count == Limit)
        {
            return false;
        }

        effects.Add(effect);
        Changed();
        return true;
    }

    /// <summary>An invalidation was carried out: what waits for one is due.</summary>
    public void InvalidationDone()
    {
        var any = false;
        for (var i = 0; i < effects.Count; i++)
        {
            if (effects[i].Until == Until.Invalidation)
            {
                effects[i] = effects[i] with { Until = Until.Time, Due = clock.Now };
                any = true;
            }
        }

        if (any)
        {
            Changed();
        }
    }

    /// <summary>A device wrote: of the first <paramref name="older"/> effects, its writes that wait for that follow at once.</summary>
    public void WriteDone(Bdf device, int older)
    {
        for (var i = 0; i < older;)
        {
            var effect = effects[i];
            if (effect.Until != Until.NextWrite || effect.Device != device)
            {
                i++;
                continue;
            }

            effects.RemoveAt(i);
            older--;
            Perform(effect);
        }

        Changed();
    }

    /// <summary>Lets go what a rule holds back.</summary>
    public void Release(string rule)
    {
        for (var i = 0; i < effects.Count; i++)
        {
            if (effects[i].Rule == rule)
            {
                effects[i] = effects[i] with { Until = Until.Time, Due = clock.Now };
            }
        }

        Changed();
    }

    public void Clear()
    {
        effects.Clear();
        Changed();
    }

    /// <inheritdoc/>
    public void Expired(ClockTimer timer, ulong due)
    {
        // Each effect that is due happens once; a storm's next message has a later time.
        for (var i = 0; i < effects.Count;)
        {
            var effect = effects[i];
            if (effect.Until != Until.Time || effect.Due > clock.Now)
            {
                i++;
                continue;
            }

            Perform(effect);
            if (effect.Messages > 1)
            {
                effect.Messages--;
                effect.Due = clock.Now + effect.Period;
                i++;
            }
            else
            {
                effects.RemoveAt(i);
            }
        }

        Changed();
    }

    void Perform(Effect effect)
    {
        if (fabric.FindPort(effect.Device) is not { } port)
        {
            return;
        }

        if (effect.Messages != 0)
        {
            port.RaiseUnasked(new(effect.Address, BitConverter.ToUInt32(effect.Data)));
        }
        else if (effect.Data.Length != 0)
        {
            port.WriteUnasked(effect.Pasid, new(effect.Address), effect.Data);
        }
        else
        {
            port.ReadUnasked(effect.Pasid, new(effect.Address), effect.Length);
        }
    }

    void Changed()
    {
        var due = ulong.MaxValue;
        foreach (var effect in effects)
        {
            due = effect.Until == Until.Time ? Math.Min(due, effect.Due) : due;
        }

        if (due == ulong.MaxValue)
        {
            timer.Disarm();
        }
        else
        {
            timer.Arm(due);
        }

        fabric.FaultsChanged();
    }

    public void Save(SnapshotWriter writer)
    {
        writer.U16((ushort)effects.Count);
        foreach (var effect in effects)
        {
            writer.Text(effect.Rule);
            writer.U8((byte)effect.Until);
            writer.U16(effect.Device.Value);
            writer.U64(effect.Address);
            writer.Bytes(effect.Data);
            writer.U64(effect.Due);
            writer.U32(effect.Pasid ?? uint.MaxValue);
            writer.U16((ushort)effect.Length);
            writer.U64(effect.Messages);
            writer.U64(effect.Period);
        }
    }

    public void Load(SnapshotReader reader)
    {
        effects.Clear();
        var count = reader.U16();
        if (count > Limit)
        {
            throw reader.Bad($"{count} held effects exceed {Limit}");
        }

        for (var i = 0; i < count; i++)
        {
            var (rule, until, device, address, data) = (reader.Text(), (Until)reader.U8(), new Bdf(reader.U16()), reader.U64(), reader.Bytes().ToArray());
            var (due, pasid, length, messages, period) = (reader.U64(), reader.U32(), reader.U16(), reader.U64(), reader.U64());
            if (!Enum.IsDefined(until) || data.Length > 4096 || length > 4096 || messages != 0 && (data.Length != 4 || period == 0))
            {
                throw reader.Bad($"held effect {i} is damaged");
            }

            effects.Add(new(rule, until, device, address, data)
            {
                Due = due, Pasid = pasid == uint.MaxValue ? null : pasid & 0xF_FFFF, Length = length, Messages = messages, Period = period,
            });
        }

        Changed();
    }
}
