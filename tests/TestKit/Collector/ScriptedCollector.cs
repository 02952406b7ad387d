using System.Collections.Concurrent;
using System.Net.Sockets;
using VsockPair.Protocol;
using VsockPair.TestKit.Store;

namespace VsockPair.TestKit.Collector;

/// <summary>
/// A collector for tests of the agent: listens on a unix socket, keeps all it gets in memory, and answers as the test's script says. The defaults are a
/// collector that accepts everything, wants every file and acknowledges at once.
/// </summary>
public sealed class ScriptedCollector : IAsyncDisposable
{
    private readonly CancellationTokenSource _end = new();
    private readonly Socket _listener;
    private readonly Task _accepting;
    private readonly ConcurrentBag<Task> _serving = [];
    private volatile bool _stopsReadingBulk;
    private int _heartbeats;

    public ScriptedCollector(string path)
    {
        Path = path;
        _listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        _listener.Listen(100);
        _accepting = AcceptAsync();
    }

    public string Path { get; }

    /// <summary>Decides over each Hello; null answers nothing at all.</summary>
    public Func<Hello, object?> OnHello { get; set; } = _ => new Welcome(Wire.NewestVersion, Guid.Empty, Guid.Empty, 0, 64);

    /// <summary>Decides over each offer.</summary>
    public Func<FileOffer, OfferAnswer> OnOffer { get; set; } = _ => OfferAnswer.Want;

    /// <summary>What a probe is told to have brought; null says nothing.</summary>
    public Func<int, int?> OnProbe { get; set; } = bytes => bytes;

    public bool SendsHeartbeats { get; set; } = true;

    public bool AcknowledgesKmsg { get; set; } = true;

    /// <summary>Bulk connections are not read while this is set.</summary>
    public bool StopsReadingBulk
    {
        get => _stopsReadingBulk;
        set => _stopsReadingBulk = value;
    }

    /// <summary>How many came.</summary>
    public int Heartbeats => Volatile.Read(ref _heartbeats);

    public ConcurrentQueue<Hello> Hellos { get; } = new();

    public ConcurrentQueue<CollectedConnection> Connections { get; } = new();

    public ConcurrentQueue<FileOffer> Offers { get; } = new();

    /// <summary>Files that arrived whole, by name: the newest content.</summary>
    public ConcurrentDictionary<string, byte[]> Files { get; } = new();

    public ConcurrentQueue<uint> FilesGone { get; } = new();

    public ConcurrentQueue<StreamCounters> Counters { get; } = new();

    public ConcurrentQueue<EventsLeft> EventsLeft { get; } = new();

    public ConcurrentQueue<Pong> Pongs { get; } = new();

    public ConcurrentQueue<string> Goodbyes { get; } = new();

    public ConcurrentQueue<TraceAnswer> TraceAnswers { get; } = new();

    public ConcurrentQueue<byte[]> KmsgBatches { get; } = new();

    /// <summary>What went wrong while a connection was served; a test that expects none checks that this is empty.</summary>
    public ConcurrentQueue<string> Faults { get; } = new();

    /// <summary>The newest connection of a kind, or null.</summary>
    public CollectedConnection? Newest(ConnectionKind kind) => Connections.LastOrDefault(c => c.Hello.Kind == kind);

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        _listener.Dispose();
        foreach (CollectedConnection connection in Connections)
        {
            connection.Dispose();
        }
        await _accepting;
        await Task.WhenAll(_serving);
        _end.Dispose();
        File.Delete(Path);
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            try
            {
                Socket socket = await _listener.AcceptAsync(_end.Token);
                _serving.Add(Task.Run(() => ServeAsync(new CollectedConnection(socket))));
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private async Task ServeAsync(CollectedConnection connection)
    {
        try
        {
            byte[] body = await connection.ReceiveFrameAsync() ?? throw new InvalidDataException("closed before its Hello");
            if (!Frame.TryDecode(body, out Hello hello))
            {
                throw new InvalidDataException("the first frame is no Hello");
            }
            connection.Hello = hello;
            Hellos.Enqueue(hello);
            object? answer = OnHello(hello);
            if (answer is Refusal refusal)
            {
                await connection.SendAsync(refusal);
                connection.Dispose();
                return;
            }
            if (answer is not Welcome welcome)
            {
                return;
            }
            Connections.Enqueue(connection);
            await connection.SendAsync(welcome);
            await (hello.Kind switch
            {
                ConnectionKind.Control => ServeControlAsync(connection),
                ConnectionKind.Kmsg => ServeKmsgAsync(connection),
                ConnectionKind.Bulk => ServeBulkAsync(connection),
                _ => ServeProbeAsync(connection),
            });
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // A connection that the other side or the test has cut, or the end of this collector.
        }
        catch (Exception e)
        {
            Faults.Enqueue($"{connection.Hello.Kind}: {e}");
        }
        finally
        {
            connection.HasEnded = true;
        }
    }

    private async Task ServeControlAsync(CollectedConnection connection)
    {
        Dictionary<uint, (FileOffer Offer, MemoryStream Content)> wanted = [];
        Task heartbeats = HeartbeatAsync(connection);
        while (await connection.ReceiveFrameAsync() is byte[] body)
        {
            Frame.TryReadType(body, out MessageType type);
            switch (type)
            {
                case MessageType.FileOffer when Frame.TryDecode(body, out FileOffer offer):
                    Offers.Enqueue(offer);
                    OfferAnswer answer = OnOffer(offer);
                    if (answer == OfferAnswer.Want)
                    {
                        wanted.Add(offer.Id, (offer, new MemoryStream()));
                    }
                    await connection.SendAsync(new FileAnswer(offer.Id, answer));
                    break;
                case MessageType.FileChunk:
                    await TakeChunkAsync(connection, wanted, body);
                    break;
                case MessageType.FileGone when Frame.TryDecode(body, out FileGone gone):
                    wanted.Remove(gone.Id);
                    FilesGone.Enqueue(gone.Id);
                    break;
                case MessageType.StreamCounters when Frame.TryDecode(body, out StreamCounters counters):
                    Counters.Enqueue(counters);
                    break;
                case MessageType.EventsLeft when Frame.TryDecode(body, out EventsLeft left):
                    EventsLeft.Enqueue(left);
                    break;
                case MessageType.Pong when Frame.TryDecode(body, out Pong pong):
                    Pongs.Enqueue(pong);
                    break;
                case MessageType.TraceAnswer when Frame.TryDecode(body, out TraceAnswer told):
                    TraceAnswers.Enqueue(told);
                    break;
                case MessageType.Goodbye when Frame.TryDecode(body, out Goodbye goodbye):
                    Goodbyes.Enqueue(goodbye.Reason);
                    break;
                case MessageType.Heartbeat:
                    Interlocked.Increment(ref _heartbeats);
                    break;
                default:
                    throw new InvalidDataException($"a frame of type {type} on the control connection");
            }
        }
        connection.Dispose();
        await heartbeats;
    }

    private async Task TakeChunkAsync(CollectedConnection connection, Dictionary<uint, (FileOffer Offer, MemoryStream Content)> wanted, byte[] body)
    {
        (FileOffer offer, MemoryStream content) = Append();
        if (content.Length == offer.Size)
        {
            wanted.Remove(offer.Id);
            byte[] bytes = content.ToArray();
            if (!System.Security.Cryptography.SHA256.HashData(bytes).AsSpan().SequenceEqual(offer.Sha256.Span))
            {
                throw new InvalidDataException($"{offer.Name} does not hash as offered");
            }
            Files[offer.Name] = bytes;
            await connection.SendAsync(new FileStored(offer.Id));
        }

        (FileOffer, MemoryStream) Append()
        {
            if (!FileChunk.TryDecode(body, out FileChunk chunk) || !wanted.TryGetValue(chunk.Id, out (FileOffer Offer, MemoryStream Content) file)
                || chunk.Offset != file.Content.Length || chunk.Offset + chunk.Bytes.Length > file.Offer.Size)
            {
                throw new InvalidDataException("a chunk that nobody asked for, or out of order");
            }
            file.Content.Write(chunk.Bytes);
            return file;
        }
    }

    private async Task HeartbeatAsync(CollectedConnection connection)
    {
        for (ulong number = 0; !connection.HasEnded && !_end.IsCancellationRequested; number++)
        {
            try
            {
                if (SendsHeartbeats)
                {
                    await connection.SendAsync(new Heartbeat(number));
                }
                await Task.Delay(Wire.HeartbeatInterval, _end.Token);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
            {
                return;
            }
        }
    }

    private async Task ServeKmsgAsync(CollectedConnection connection)
    {
        while (await connection.ReceiveFrameAsync() is byte[] body)
        {
            if (!KmsgRecords.TryDecode(body, out ReadOnlySpan<byte> records))
            {
                throw new InvalidDataException("a frame on the kmsg connection that holds no records");
            }
            byte[] batch = records.ToArray();
            KmsgBatches.Enqueue(batch);
            if (AcknowledgesKmsg)
            {
                await connection.SendAsync(new KmsgAck(KmsgText.Split(batch)[^1].Sequence));
            }
        }
        connection.Dispose();
    }

    private async Task ServeBulkAsync(CollectedConnection connection)
    {
        byte[] buffer = new byte[1 << 20];
        int held = 0;
        while (true)
        {
            while (StopsReadingBulk)
            {
                await Task.Delay(20, _end.Token);
            }
            int n = await connection.Socket.ReceiveAsync(buffer.AsMemory(held), SocketFlags.None, _end.Token);
            if (n == 0)
            {
                connection.Dispose();
                return;
            }
            held += n;
            int used = connection.TakeRecords(buffer.AsSpan(0, held));
            buffer.AsSpan(used, held - used).CopyTo(buffer);
            held -= used;
            connection.HeldBytes = held;
        }
    }

    private async Task ServeProbeAsync(CollectedConnection connection)
    {
        byte[] buffer = new byte[Wire.ProbeBytes];
        int received = 0;
        while (received < connection.Hello.ProbeBytes)
        {
            int n = await connection.Socket.ReceiveAsync(buffer, SocketFlags.None, _end.Token);
            if (n == 0)
            {
                return;
            }
            received += n;
        }
        if (OnProbe(received) is int bytes)
        {
            await connection.SendAsync(new ProbeResult(bytes));
        }
    }
}
