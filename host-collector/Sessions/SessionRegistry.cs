using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using VsockPair.Listening;
using VsockPair.Options;
using VsockPair.Storage;

namespace VsockPair.Sessions;

/// <summary>Guests by name, live sessions by token. Any thread.</summary>
internal sealed class SessionRegistry(CollectorOptions options, CollectorStore store, SessionTimes times, ILogger<Guest> log)
{
    private readonly Lock _gate = new();
    private readonly ConcurrentDictionary<Guid, GuestSession> _sessions = new();
    private readonly Dictionary<string, Guest> _guests = new(StringComparer.Ordinal);

    public int MaxCpus => options.Limits.MaxCpus;

    /// <summary>No new connections: the collector stops.</summary>
    public bool IsStopping { get; set; }

    public IEnumerable<GuestSession> Sessions => _sessions.Values;

    public IReadOnlyList<Guest> Guests
    {
        get
        {
            lock (_gate)
            {
                return [.. _guests.Values];
            }
        }
    }

    /// <exception cref="IOException">Its folder cannot be made.</exception>
    public Guest Guest(GuestIdentity identity)
    {
        lock (_gate)
        {
            if (_guests.TryGetValue(identity.Name, out Guest? guest))
            {
                guest.Identity = identity;
                return guest;
            }
            guest = new Guest(identity, store.Guest(identity.Name), options.Limits, times, store.Time, log);
            _guests.Add(identity.Name, guest);
            return guest;
        }
    }

    public void Add(GuestSession session) => _sessions[session.Token] = session;

    public void Remove(GuestSession session) => _sessions.TryRemove(session.Token, out _);

    /// <summary>The live session with this token, if it is this guest's and of this boot.</summary>
    public GuestSession? Find(Guid token, Guest guest, Guid bootId) =>
        _sessions.TryGetValue(token, out GuestSession? session) && session.Guest == guest && session.Boot.Record.BootId == bootId ? session : null;
}
