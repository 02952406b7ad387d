using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text.Json;
using VsockPair.Linux;
using VsockPair.Text;

namespace VsockPair.Watch;

/// <summary>
/// One connection to QEMU's machine protocol: a line of JSON each way. One task reads; commands may come from any task and are sent one after the other.
/// What the other side can make this process hold is bounded: a line, and an answer per command of ours; whoever does not take an event stops the reading of answers too.
/// </summary>
internal sealed class QmpClient : IAsyncDisposable
{
    public const int MaxLineBytes = 1 << 20;

    /// <summary>A machine sends a handful; one that sends more than this is read slower, so that it takes no whole CPU.</summary>
    private const int EventsPerSecond = 50_000;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly Socket _socket;
    private readonly string _path;
    private readonly SemaphoreSlim _oneCommand = new(1);
    private readonly ConcurrentDictionary<long, TaskCompletionSource<QmpMessage>> _waiting = new();
    private readonly Func<QmpMessage, CancellationToken, ValueTask> _takeEvent;
    private readonly TaskCompletionSource _greeted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _reader;
    private volatile MachineException? _end;
    private int _disposed;
    private long _lastId;
    private int _eventsInSecond;
    private long _second;

    private QmpClient(Socket socket, string path, Func<QmpMessage, CancellationToken, ValueTask> takeEvent)
    {
        _socket = socket;
        _path = path;
        _takeEvent = takeEvent;
        _reader = Task.Run(ReadAsync);
    }

    /// <summary>Ends, and never fails, with the connection.</summary>
    public Task Ended => _reader;

    /// <summary>Process that listens at the socket; 0 when it is in another PID namespace.</summary>
    public int PeerProcess { get; private init; }

    /// <summary>Connects and negotiates.</summary>
    /// <param name="takeEvent">Gets each event, in order, and before the answer that came after it.</param>
    /// <exception cref="MachineException">Nobody is there, it is not QEMU, or another client has the socket.</exception>
    public static async Task<QmpClient> ConnectAsync(string path, Func<QmpMessage, CancellationToken, ValueTask> takeEvent, CancellationToken stop)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        QmpClient client;
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), stop).ConfigureAwait(false);
            StreamSocket.PeerOf(socket, out int process, out _);
            client = new QmpClient(socket, path, takeEvent) { PeerProcess = process };
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new MachineException($"{path}: {e.Message}", e);
        }
        try
        {
            await client.AwaitGreetingAsync(stop).ConfigureAwait(false);
            await client.ExecuteAsync(QmpCommand.Capabilities, stop).ConfigureAwait(false);
            return client;
        }
        catch
        {
            await client.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    public Task<byte[]> ExecuteAsync(QmpCommand command, CancellationToken stop) => ExecuteAsync(command, null, null, Patience, stop);

    public Task<byte[]> ExecuteAsync(QmpCommand command, Action<Utf8JsonWriter> arguments, CancellationToken stop) =>
        ExecuteAsync(command, arguments, null, Patience, stop);

    /// <param name="arguments">Writes the properties of <c>arguments</c>; null for none.</param>
    /// <param name="descriptor">Sent along; null for none.</param>
    /// <returns>Raw JSON of the answer.</returns>
    /// <exception cref="MachineException">QEMU refused, has not answered in time, or is gone.</exception>
    public async Task<byte[]> ExecuteAsync(QmpCommand command, Action<Utf8JsonWriter>? arguments, Fd? descriptor, TimeSpan patience, CancellationToken stop)
    {
        await _oneCommand.WaitAsync(stop).ConfigureAwait(false);
        long id = ++_lastId;
        TaskCompletionSource<QmpMessage> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _waiting[id] = answer;
        try
        {
            if (_end is not null)
            {
                throw Gone();
            }
            await SendAsync(Line(command, arguments, id), descriptor, patience, stop).ConfigureAwait(false);
            QmpMessage message = await answer.Task.WaitAsync(patience, stop).ConfigureAwait(false);
            return message.Kind == QmpMessageKind.Return
                ? message.Body
                : throw new MachineException($"{command}: {TerminalText.EscapeShort(message.Name)}");
        }
        catch (TimeoutException e)
        {
            throw new MachineException($"{command}: no answer within {patience.TotalSeconds:0} s", e);
        }
        finally
        {
            _waiting.TryRemove(id, out _);
            _oneCommand.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }
        await _stop.CancelAsync().ConfigureAwait(false);
        _socket.Dispose();
        await _reader.ConfigureAwait(false);
        _oneCommand.Dispose();
        _stop.Dispose();
    }

    private static byte[] Line(QmpCommand command, Action<Utf8JsonWriter>? arguments, long id)
    {
        using MemoryStream line = new();
        using (Utf8JsonWriter json = new(line))
        {
            json.WriteStartObject();
            json.WriteString("execute"u8, command.Name);
            if (arguments is not null)
            {
                json.WriteStartObject("arguments"u8);
                arguments(json);
                json.WriteEndObject();
            }
            json.WriteNumber("id"u8, id);
            json.WriteEndObject();
        }
        line.WriteByte((byte)'\n');
        return line.ToArray();
    }

    private async Task SendAsync(byte[] line, Fd? descriptor, TimeSpan patience, CancellationToken stop)
    {
        int sent = descriptor is null ? 0 : SendFirst(line, descriptor);
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(stop);
        limit.CancelAfter(patience);
        try
        {
            while (sent < line.Length)
            {
                sent += await _socket.SendAsync(line.AsMemory(sent), SocketFlags.None, limit.Token).ConfigureAwait(false);
            }
        }
        catch (SocketException e)
        {
            throw new MachineException($"{_path}: {e.Message}", e);
        }
        catch (ObjectDisposedException)
        {
            throw Gone();
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            // Part of a line may be out: nothing can follow it.
            End(new MachineException($"{_path}: takes no command within {patience.TotalSeconds:0} s"));
            throw Gone();
        }
    }

    /// <summary>The descriptor goes with the line's first bytes. A full socket is as good as a broken one: one command is on its way at a time.</summary>
    private unsafe int SendFirst(byte[] line, Fd descriptor)
    {
        // The pointer is used only during the call, while the array is pinned.
        fixed (byte* bytes = line)
        {
            int sent = Sys.SendWithFd((int)_socket.Handle, bytes, line.Length, descriptor.Value);
            return sent > 0 ? sent : throw new MachineException($"{_path}: {Errno.Describe(-sent)}");
        }
    }

    private async Task AwaitGreetingAsync(CancellationToken stop)
    {
        try
        {
            await _greeted.Task.WaitAsync(Patience, stop).ConfigureAwait(false);
        }
        catch (TimeoutException e)
        {
            // QEMU serves one client of a socket; a second one waits in the queue of its listener.
            throw new MachineException($"{_path}: no greeting within {Patience.TotalSeconds:0} s; another client has this socket, give QEMU a second -qmp", e);
        }
    }

    private async Task ReadAsync()
    {
        byte[] buffer = new byte[4096];
        int length = 0;
        try
        {
            while (true)
            {
                int received = await _socket.ReceiveAsync(buffer.AsMemory(length), SocketFlags.None, _stop.Token).ConfigureAwait(false);
                if (received == 0)
                {
                    End(new MachineException($"{_path}: QEMU has closed the connection"));
                    return;
                }
                int taken = 0;
                int from = length;
                length += received;
                while (buffer.AsSpan(from, length - from).IndexOf((byte)'\n') is >= 0 and int at)
                {
                    await TakeAsync(buffer.AsMemory(taken, from + at - taken)).ConfigureAwait(false);
                    from = taken = from + at + 1;
                }
                buffer.AsSpan(taken, length - taken).CopyTo(buffer);
                length -= taken;
                if (length == MaxLineBytes)
                {
                    throw new MachineException($"{_path}: a line of more than {Units.Bytes(MaxLineBytes)}; this is not QEMU as we know it");
                }
                if (length == buffer.Length)
                {
                    Array.Resize(ref buffer, Math.Min(2 * length, MaxLineBytes));
                }
                else if (length == 0 && buffer.Length > 1 << 16)
                {
                    buffer = new byte[4096];
                }
            }
        }
        catch (MachineException e)
        {
            End(e);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            End(new MachineException($"{_path}: the connection has ended", e));
        }
    }

    private async ValueTask TakeAsync(ReadOnlyMemory<byte> line)
    {
        if (line.Length == 0 || (line.Length == 1 && line.Span[0] == '\r'))
        {
            return;
        }
        if (!QmpMessage.TryParse(line.Span, out QmpMessage message))
        {
            throw new MachineException($"{_path}: what came is not QMP");
        }
        switch (message.Kind)
        {
            case QmpMessageKind.Greeting:
                _greeted.TrySetResult();
                break;
            case QmpMessageKind.Event:
                await SlowDownAsync().ConfigureAwait(false);
                await _takeEvent(message, _stop.Token).ConfigureAwait(false);
                break;
            case QmpMessageKind.Return or QmpMessageKind.Error when message.Id is long id && _waiting.TryGetValue(id, out TaskCompletionSource<QmpMessage>? waiting):
                waiting.TrySetResult(message);
                break;
        }
    }

    private async ValueTask SlowDownAsync()
    {
        long second = Environment.TickCount64 / 1000;
        if (second != _second)
        {
            _second = second;
            _eventsInSecond = 0;
        }
        if (++_eventsInSecond > EventsPerSecond)
        {
            await Task.Delay(TimeSpan.FromSeconds(1), _stop.Token).ConfigureAwait(false);
        }
    }

    private void End(MachineException reason)
    {
        _end ??= reason;
        _greeted.TrySetException(reason);
        // Nobody may be waiting for it any more.
        _ = _greeted.Task.Exception;
        foreach (TaskCompletionSource<QmpMessage> waiting in _waiting.Values)
        {
            waiting.TrySetException(Gone());
        }
    }

    private MachineException Gone() => new(_end?.Message ?? $"{_path}: the connection has ended", _end);
}
