using System.Text.Json;
using VsockPair.Listening;
using VsockPair.Sessions;
using VsockPair.Storage;

namespace VsockPair.Status;

/// <summary><c>{"command":"status"}</c>: what the collector is doing.</summary>
internal sealed class StatusAnswer(CollectorStore store, SessionRegistry registry, DiskState disk, ListenerService listeners) : IControlAnswer
{
    private readonly DateTimeOffset _started = store.Now;

    public string Command => CollectorStatus.Command;

    public Task<byte[]> AnswerAsync(ReadOnlyMemory<byte> line, uint uid) =>
        Task.FromResult(JsonSerializer.SerializeToUtf8Bytes(Describe(), ControlJson.Default.CollectorStatus));

    private CollectorStatus Describe()
    {
        IReadOnlyList<Guest> guests = registry.Guests;
        return new CollectorStatus
        {
            Version = typeof(StatusAnswer).Assembly.GetName().Version!.ToString(3),
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
