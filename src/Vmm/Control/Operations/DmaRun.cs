using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Vmm.Api.V1;
using Vmm.Grpc;
using Vmm.GuestDma.Measurement;

namespace Vmm.Control.Operations;

/// <summary>Measurements of the DMA layer one after the other, as <c>vmm bench dma</c> makes them.</summary>
internal sealed class DmaRun(IReadOnlyList<Beds.DmaPoint> points) : ILongWork
{
    readonly Lock gate = new();
    readonly List<DmaRow> rows = [];
    readonly Timestamp created = Timestamp.FromDateTime(DateTime.UtcNow);
    Beds.DmaPoint? current;

    /// <inheritdoc/>
    public IMessage Metadata
    {
        get
        {
            lock (gate)
            {
                return new MeasureDmaMetadata
                {
                    CreateTime = created, Total = (uint)points.Count, Done = (uint)rows.Count,
                    Current = current == null ? null : DmaRowMessages.Write(current), Latest = rows.Count == 0 ? null : rows[^1],
                };
            }
        }
    }

    /// <summary>Rows from a position on, as many as there are until now.</summary>
    public IReadOnlyList<DmaRow> Rows(int from, int count)
    {
        lock (gate)
        {
            return [.. rows.Skip(from).Take(count)];
        }
    }

    /// <inheritdoc/>
    public IMessage Run(Func<bool> isCancelled)
    {
        try
        {
            foreach (var point in points)
            {
                if (isCancelled())
                {
                    throw new OperationCanceledException();
                }

                Begin(point);
                End(DmaRowMessages.Write(point.Run()));
            }

            return new MeasureDmaResponse { Rows = { rows } };
        }
        catch (LoadException impossible)
        {
            // The load does not fit into the machine that it is measured on.
            throw Errors.Precondition("LOAD", "points", impossible.Message);
        }
        finally
        {
            Begin(null);
        }
    }

    void Begin(Beds.DmaPoint? point)
    {
        lock (gate)
        {
            current = point;
        }
    }

    void End(DmaRow row)
    {
        lock (gate)
        {
            rows.Add(row);
        }
    }
}
