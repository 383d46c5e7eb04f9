using System.Buffers.Binary;
using System.Net.Sockets;

namespace Vmm.ControlTests.Kit.Http2;

/// <summary>
/// A client of HTTP/2 that does as it is told. It acknowledges SETTINGS and PING, and gives the peer room only if asked to.
/// </summary>
internal sealed class RawConnection : IDisposable
{
    const ushort HeaderTableSize = 1;
    const ushort InitialWindowSize = 4;

    static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    readonly NetworkStream stream;
    readonly Lock gate = new();
    readonly Dictionary<int, Answer> answers = [];
    readonly Task reading;
    TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    bool givesRoom;

    RawConnection(Socket socket)
    {
        stream = new NetworkStream(socket, ownsSocket: true);
        reading = Task.CompletedTask;
    }

    RawConnection(Socket socket, bool givesRoom)
    {
        stream = new NetworkStream(socket, ownsSocket: true);
        this.givesRoom = givesRoom;
        reading = Task.Run(ReadAsync);
    }

    /// <summary>Error code of the peer's GOAWAY, or null.</summary>
    public int? GoAway { get; private set; }

    /// <summary>Whether the peer closed the connection.</summary>
    public bool Closed => reading.IsCompleted;

    /// <summary>Only a socket: no preface, nothing is read.</summary>
    public static async Task<RawConnection> DumbAsync(string path) => new(await ConnectAsync(path));

    /// <summary>A connection with its preface sent.</summary>
    /// <param name="path">The Unix socket.</param>
    /// <param name="window">Room for each stream that the peer may use at once.</param>
    /// <param name="givesRoom">Whether room is given back as data come.</param>
    public static async Task<RawConnection> OpenAsync(string path, uint window = 65535, bool givesRoom = true)
    {
        var connection = new RawConnection(await ConnectAsync(path), givesRoom);
        await connection.SendAsync([.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, .. Frame.Settings((HeaderTableSize, 0u), (InitialWindowSize, window))]);
        return connection;
    }

    /// <summary>The headers of a call, any of them replaced (null takes one away) or added.</summary>
    public static List<(string, string)> CallHeaders(string path, params IEnumerable<(string Name, string? Value)> other)
    {
        List<(string, string)> fields =
        [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"), ("content-type", "application/grpc"), ("te", "trailers"),
        ];
        foreach (var (name, value) in other)
        {
            var at = fields.FindIndex(f => f.Item1 == name);
            if (at >= 0)
            {
                fields.RemoveAt(at);
            }

            if (value != null)
            {
                fields.Insert(at >= 0 ? at : fields.Count, (name, value));
            }
        }

        return fields;
    }

    public Task SendAsync(params ReadOnlySpan<byte[]> frames) => stream.WriteAsync(Concat(frames)).AsTask();

    /// <summary>
    /// Sends, and does not mind if the peer has closed the connection or takes nothing for a while: a peer whose own answers
    /// wait to be read may stop reading. False then.
    /// </summary>
    public async Task<bool> TrySendAsync(byte[] bytes)
    {
        using var clock = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        try
        {
            await stream.WriteAsync(bytes, clock.Token);
            return true;
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException or OperationCanceledException)
        {
            return false;
        }
    }

    /// <summary>Waits until a stream or the connection has ended.</summary>
    public Task<Answer> AnswerAsync(int id) => WaitAsync(id, a => a.Ended);

    /// <summary>Waits for headers on a stream.</summary>
    public Task<Answer> HeadersAsync(int id) => WaitAsync(id, a => a.Headers.Count > 0 || a.Ended);

    /// <summary>Waits until the connection has ended.</summary>
    public async Task<int?> EndAsync()
    {
        await reading.WaitAsync(Patience);
        return GoAway;
    }

    /// <summary>Reads what comes to the end, as text.</summary>
    public async Task<byte[]> RestAsync()
    {
        using var clock = new CancellationTokenSource(Patience);
        var all = new MemoryStream();
        try
        {
            await stream.CopyToAsync(all, clock.Token);
        }
        catch (IOException)
        {
        }

        return all.ToArray();
    }

    public void Dispose() => stream.Dispose();

    static async Task<Socket> ConnectAsync(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        return socket;
    }

    static byte[] Concat(ReadOnlySpan<byte[]> frames)
    {
        if (frames.Length == 1)
        {
            return frames[0];
        }

        var all = new List<byte>();
        foreach (var frame in frames)
        {
            all.AddRange(frame);
        }

        return [.. all];
    }

    async Task<Answer> WaitAsync(int id, Predicate<Answer> enough)
    {
        using var clock = new CancellationTokenSource(Patience);
        while (true)
        {
            Task next;
            lock (gate)
            {
                var answer = At(id);
                if (enough(answer) || Closed)
                {
                    return answer;
                }

                next = changed.Task;
            }

            await Task.WhenAny(next, reading).WaitAsync(clock.Token);
        }
    }

    Answer At(int id) => answers.TryGetValue(id, out var known) ? known : answers[id] = new Answer();

    async Task ReadAsync()
    {
        try
        {
            var head = new byte[9];
            while (true)
            {
                await stream.ReadExactlyAsync(head);
                var payload = new byte[(head[0] << 16) | (head[1] << 8) | head[2]];
                await stream.ReadExactlyAsync(payload);
                await TakeAsync((FrameType)head[3], head[4], BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(5)), payload);
            }
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
        }
    }

    async Task TakeAsync(FrameType type, byte flags, int id, byte[] payload)
    {
        if (type == FrameType.Settings && (flags & Frame.Ack) == 0)
        {
            await TrySendAsync(Frame.Raw(FrameType.Settings, Frame.Ack, 0));
        }
        else if (type == FrameType.Ping && (flags & Frame.Ack) == 0)
        {
            await TrySendAsync(Frame.Raw(FrameType.Ping, Frame.Ack, 0, payload));
        }
        else if (type == FrameType.Data && givesRoom && payload.Length > 0)
        {
            await TrySendAsync([.. Frame.WindowUpdate(0, payload.Length), .. Frame.WindowUpdate(id, payload.Length)]);
        }

        lock (gate)
        {
            Note(type, flags, id, payload);
            changed.SetResult();
            changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    void Note(FrameType type, byte flags, int id, byte[] payload)
    {
        switch (type)
        {
            case FrameType.Headers:
                var answer = At(id);
                var fields = Hpack.Decode(payload);
                _ = answer.Headers.Count == 0 ? answer.Headers = fields : answer.Trailers = fields;
                break;
            case FrameType.Data:
                At(id).Data.AddRange(payload);
                break;
            case FrameType.RstStream:
                At(id).Reset = BinaryPrimitives.ReadInt32BigEndian(payload);
                break;
            case FrameType.GoAway:
                GoAway = BinaryPrimitives.ReadInt32BigEndian(payload.AsSpan(4));
                break;
        }

        if (type is FrameType.Headers or FrameType.Data && (flags & Frame.EndStream) != 0)
        {
            At(id).HalfClosed = true;
        }
    }
}

/// <summary>What came on one stream.</summary>
internal sealed class Answer
{
    public Dictionary<string, string> Headers { get; set; } = [];

    public Dictionary<string, string> Trailers { get; set; } = [];

    public List<byte> Data { get; } = [];

    /// <summary>Error code of RST_STREAM, or null.</summary>
    public int? Reset { get; set; }

    public bool HalfClosed { get; set; }

    public bool Ended => HalfClosed || Reset != null;

    public string? HttpStatus => Headers.GetValueOrDefault(":status");

    /// <summary>grpc-status, wherever it stands; -1 without one.</summary>
    public int GrpcStatus => int.TryParse(Trailers.GetValueOrDefault("grpc-status") ?? Headers.GetValueOrDefault("grpc-status"), out var code) ? code : -1;
}
