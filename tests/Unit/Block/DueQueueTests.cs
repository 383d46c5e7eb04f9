using Vmm.Platform.Block;
using Vmm.Platform.Snapshots;
using Xunit;

namespace Vmm.Unit.Block;

/// <summary>Commands that wait, beside a plain list that is searched. VMM_STEPS raises the number of steps.</summary>
public sealed class DueQueueTests
{
    const int Capacity = 24;

    static int Steps => int.TryParse(Environment.GetEnvironmentVariable("VMM_STEPS"), out var steps) ? Math.Max(steps, 60_000) : 60_000;

    static void Save(SnapshotWriter writer, int item) => writer.U32((uint)item);

    static int Load(SnapshotReader reader) => (int)reader.U32();

    static DueQueue<int> Restored(DueQueue<int> queue, out byte[] bytes)
    {
        var writer = new SnapshotWriter();
        queue.Save(writer, Save);
        bytes = writer.Written.ToArray();
        var restored = new DueQueue<int>(Capacity);
        var reader = new SnapshotReader("q", 1, bytes);
        restored.Load(reader, Load);
        reader.End();
        return restored;
    }

    [Fact]
    public void Commands_come_out_by_due_time_and_then_by_arrival_whatever_is_taken_out_between()
    {
        var random = new Random(1);
        var queue = new DueQueue<int>(Capacity);
        var model = new List<(ulong Due, int Order, int Item)>();
        for (var i = 0; i < Steps; i++)
        {
            var wanted = random.Next(5);
            switch (random.Next(100))
            {
                case < 55 when queue.Free > 0:
                    var due = random.Next(20) == 0 ? ulong.MaxValue : (ulong)random.Next(40);
                    queue.Add(i * 5 + wanted, due);
                    model.Add((due, i, i * 5 + wanted));
                    break;
                case < 80 when queue.Count > 0:
                    var next = model.Min();
                    Assert.Equal(next.Due, queue.NextDue);
                    Assert.Equal(next.Item, queue.Take());
                    model.Remove(next);
                    break;
                case < 95:
                    var some = model.Where(m => m.Item % 5 == wanted).Order().ToArray();
                    Assert.Equal(some.Length != 0, queue.TryTake(item => item % 5 == wanted, out var found));
                    if (some.Length != 0)
                    {
                        Assert.Equal(some[0].Item, found);
                        model.Remove(some[0]);
                    }

                    break;
                case < 98:
                    queue.RemoveAll(item => item % 5 == wanted);
                    model.RemoveAll(m => m.Item % 5 == wanted);
                    break;
                default:
                    queue = Restored(queue, out var bytes);
                    Restored(queue, out var again);
                    Assert.Equal(bytes, again);
                    break;
            }

            Assert.Equal((model.Count, Capacity - model.Count), (queue.Count, queue.Free));
            Assert.Equal(model.Count == 0 ? ulong.MaxValue : model.Min().Due, queue.NextDue);
        }
    }

    [Fact]
    public void A_state_with_more_commands_than_places_is_refused()
    {
        var large = new DueQueue<int>(Capacity + 1);
        for (var i = 0; i <= Capacity; i++)
        {
            large.Add(i, 1);
        }

        Assert.Throws<SnapshotException>(() => Restored(large, out _));
    }
}
