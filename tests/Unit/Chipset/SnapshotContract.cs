using Vmm.Platform.Snapshots;
using Xunit;

namespace Vmm.Unit.Chipset;

/// <summary>What every snapshot part must do: a loaded copy is the saved device, now and later.</summary>
static class SnapshotContract
{
    /// <summary>
    /// Builds two devices with <paramref name="build"/>, brings one into an interesting state, saves it, spoils the other with
    /// <paramref name="spoil"/>, loads, and lets both go on: what they show must be equal at every step.
    /// </summary>
    public static void Holds<T>(Func<T> build, Func<T, ISnapshotPart> part, Action<T> excite, Action<T> spoil, Func<T, string> goOn)
    {
        var original = build();
        excite(original);
        var saved = Save(part(original));

        var copy = build();
        spoil(copy);
        Assert.NotEqual(saved, Save(part(copy)));
        Load(part(copy), saved);
        Assert.Equal(saved, Save(part(copy)));

        Assert.Equal(goOn(original), goOn(copy));
        Assert.Equal(Save(part(original)), Save(part(copy)));

        RefusesDamage(part(build()), saved);
    }

    public static byte[] Save(ISnapshotPart part)
    {
        var writer = new SnapshotWriter();
        part.Save(writer);
        return writer.Written.ToArray();
    }

    public static void Load(ISnapshotPart part, byte[] data)
    {
        var reader = new SnapshotReader(part.SectionName, part.SectionVersion, data);
        part.Load(reader);
        reader.End();
    }

    static void RefusesDamage(ISnapshotPart part, byte[] saved)
    {
        for (var length = 0; length < saved.Length; length++)
        {
            Assert.Throws<SnapshotException>(() => Load(part, saved[..length]));
        }
    }
}
