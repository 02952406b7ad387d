using Microsoft.Extensions.Logging;
using VsockPair.Storage;

namespace VsockPair.Cases;

/// <summary>
/// What open cases need of the store: the files of the boot that died, from a quarter of an hour before. A case is open until its manifest says that it is closed, and stays
/// closed, so a look at the folder costs little however many cases there are. One thread.
/// </summary>
internal sealed class CasePins(string store, TimeProvider time, ILogger<CasePins> log)
{
    private static readonly TimeSpan Before = TimeSpan.FromMinutes(15);

    /// <summary>Twice as long as watch may be told to wait for a guest's next boot: a case that is still open then, nobody closes any more.</summary>
    private static readonly TimeSpan LongestOpen = TimeSpan.FromDays(2);
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LogEvery = TimeSpan.FromMinutes(1);

    private readonly HashSet<string> _closed = new(StringComparer.Ordinal);
    private Dictionary<(string Guest, string Boot), DateTime> _since = [];
    private long? _looked;
    private long? _logged;

    /// <summary>Looks which cases are open, once a second.</summary>
    public void Refresh()
    {
        if (_looked is long looked && time.GetElapsedTime(looked) < LookEvery)
        {
            return;
        }
        _looked = time.GetTimestamp();
        try
        {
            _since = Look();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The last answer holds meanwhile: no quota waits for it.
            if (_logged is not long logged || time.GetElapsedTime(logged) >= LogEvery)
            {
                _logged = time.GetTimestamp();
                log.HousekeepingFailed(StorePaths.Cases(store), e.Message);
            }
        }
    }

    public bool HoldsAny(string guest) => _since.Keys.Any(k => k.Guest == guest);

    public bool Holds(string guest, StoredFile file) => _since.TryGetValue((guest, file.Boot), out DateTime since) && file.Written >= since;

    private Dictionary<(string Guest, string Boot), DateTime> Look()
    {
        Dictionary<(string Guest, string Boot), DateTime> since = [];
        IReadOnlyList<string> ids = StoredCase.Ids(store);
        _closed.IntersectWith(ids);
        foreach (string id in ids.Where(id => !_closed.Contains(id)))
        {
            if (StoredCase.TryOpen(store, id) is not StoredCase found)
            {
                continue;
            }
            if (!found.IsOpen)
            {
                _closed.Add(id);
            }
            else if (found.Event.Boot is string boot && time.GetUtcNow() - found.Event.Time < LongestOpen)
            {
                (string, string) key = (found.Event.Guest, boot);
                DateTime from = (found.Event.Time - Before).UtcDateTime;
                since[key] = since.TryGetValue(key, out DateTime other) && other < from ? other : from;
            }
        }
        return since;
    }
}
