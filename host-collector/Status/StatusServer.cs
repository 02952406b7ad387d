using System.Net.Sockets;
using System.Text.Json;
using Microsoft.Extensions.Hosting;
using VsockPair.Linux;
using VsockPair.Listening;
using VsockPair.Sessions;
using VsockPair.Storage;

namespace VsockPair.Status;

/// <summary><c>control.sock</c>: one line in, one line out, for this host's operators only (0660, in a folder of its own).</summary>
internal sealed class StatusServer(CollectorStore store, SessionRegistry registry, DiskState disk, ListenerService listeners, FaultSignal faults) : BackgroundService
{
    private const int MaxRequestBytes = 4096;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan AcceptPause = TimeSpan.FromMilliseconds(100);

    private readonly DateTimeOffset _started = store.Now;
    private Socket? _listener;

    private string SocketPath => StorePaths.ControlSocket(store.Folder);

    public override Task StartAsync(CancellationToken cancellationToken)
    {
        // The store's lock is ours, so whatever is there was left by a dead collector.
        File.Delete(SocketPath);
        Fd fd = StreamSocket.ListenUnix(SocketPath);
        _listener = new Socket(new SafeSocketHandle(fd.Value, ownsHandle: true));
        fd.SetHandleAsInvalid();
        return base.StartAsync(cancellationToken);
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken).ConfigureAwait(false);
        _listener?.Dispose();
        File.Delete(SocketPath);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                if (await TryAcceptAsync(stoppingToken).ConfigureAwait(false) is Socket client)
                {
                    _ = AnswerAsync(client);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The collector stops.
        }
        catch (Exception e)
        {
            faults.Report("control.sock", e);
        }
    }

    private async Task<Socket?> TryAcceptAsync(CancellationToken stoppingToken)
    {
        try
        {
            return await _listener!.AcceptAsync(stoppingToken).ConfigureAwait(false);
        }
        catch (SocketException)
        {
            // Out of descriptors, or the client went away: no reason to stop collecting. The pause keeps it from turning in circles.
            await Task.Delay(AcceptPause, stoppingToken).ConfigureAwait(false);
            return null;
        }
    }

    private async Task AnswerAsync(Socket client)
    {
        using Socket connection = client;
        using CancellationTokenSource limit = new(Patience);
        try
        {
            byte[] request = new byte[MaxRequestBytes];
            int received = 0;
            while (!request.AsSpan(0, received).Contains((byte)'\n'))
            {
                int n = await client.ReceiveAsync(request.AsMemory(received), SocketFlags.None, limit.Token).ConfigureAwait(false);
                if (n == 0)
                {
                    return;
                }
                received += n;
            }
            byte[] answer = Answer(request.AsSpan(0, received));
            for (int sent = 0; sent < answer.Length;)
            {
                sent += await client.SendAsync(answer.AsMemory(sent), SocketFlags.None, limit.Token).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or JsonException)
        {
            // The client went away, took too long, or sent no request: closing is the answer.
        }
    }

    private byte[] Answer(ReadOnlySpan<byte> line)
    {
        StatusRequest? request = JsonSerializer.Deserialize(line, StatusJson.Default.StatusRequest);
        return request?.Command == StatusRequest.Status
            ? [.. JsonSerializer.SerializeToUtf8Bytes(Describe(), StatusJson.Default.CollectorStatus), (byte)'\n']
            : [];
    }

    private CollectorStatus Describe()
    {
        IReadOnlyList<Guest> guests = registry.Guests;
        return new CollectorStatus
        {
            Version = typeof(StatusServer).Assembly.GetName().Version!.ToString(3),
            ProcessId = Environment.ProcessId,
            Started = _started,
            Listening = [.. listeners.Specs.Select(s => s.ToString()!)],
            DiskFull = disk.IsFull,
            Violations = guests.Sum(g => g.TotalViolations),
            Guests = [.. guests.OrderBy(g => g.Name, StringComparer.Ordinal).Select(Describe)],
        };
    }

    private static GuestStatus Describe(Guest guest)
    {
        IReadOnlyList<GuestSession> sessions = guest.Sessions;
        BootStore? newest = guest.Store.Boots.MaxBy(b => b.Record.Started);
        return new GuestStatus
        {
            Name = guest.Name,
            IdentifiedBy = guest.Identity.IdentifiedBy,
            Cid = guest.Identity.Cid,
            Socket = guest.Identity.Socket,
            Connections = guest.Connections,
            Violations = guest.Violations,
            OverBudget = !guest.Budget.HasRoom,
            Boots = [.. sessions.Select(s => s.Boot).Append(newest).OfType<BootStore>().Distinct().Select(b => Describe(b, sessions.FirstOrDefault(s => s.Boot == b)))],
        };
    }

    private static BootStatus Describe(BootStore boot, GuestSession? session) => new()
    {
        Boot = boot.Name,
        Kernel = boot.Record.Kernel,
        AgentVersion = boot.Record.AgentVersion,
        ConnectedSince = session?.ConnectedSince,
        KmsgNextSequence = boot.KmsgIfOpen?.NextSequence ?? 0,
        KmsgConnected = session is not null && session.HasKmsg,
        Streams = [.. boot.Streams.Select(Describe)],
    };

    private static StreamStatus Describe(VcpuStream stream)
    {
        (double bytes, double events) = stream.Rate.Average;
        (ulong stored, ulong ringLost, ulong transportLost) = stream.Figures;
        return new StreamStatus
        {
            Stream = stream.Name,
            Connected = stream.Slot.Current?.Ended.IsCompleted == false,
            BytesPerSecond = bytes,
            EventsPerSecond = events,
            StoredEvents = stored,
            RingLostEvents = ringLost,
            TransportLostEvents = transportLost,
        };
    }
}
