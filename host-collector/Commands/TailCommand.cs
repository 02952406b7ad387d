using VsockPair.Storage;

namespace VsockPair.Commands;

/// <summary>What <c>vsockpair tail</c> was asked for.</summary>
/// <param name="Cpus">Empty for all.</param>
/// <param name="Events">Patterns <c>SYSTEM[:EVENT]</c>; empty for all.</param>
internal sealed record TailRequest(string Guest, IReadOnlyList<int> Cpus, IReadOnlyList<string> Events, bool Json);

/// <summary>
/// <c>vsockpair tail NAME</c>: decoded events as they are stored, from files alone, from one boot into the next until it is stopped. Text is for a person, so it has
/// a limit of lines and tells rates instead; JSON is for programs and has everything: a reader that is slower than the guest falls behind in the files, not in memory.
/// </summary>
internal sealed class TailCommand : IDisposable
{
    public const string Description =
        "A guest's events as they arrive, decoded: the last ten, then all that follow. Text shows at most 200 lines a second and each event's rate, --json every event";

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan BootInterval = TimeSpan.FromSeconds(1);

    private readonly CommandContext _context;
    private readonly TailRequest _request;
    private readonly ITailPrinter _printer;
    private readonly Queue<StoredBoot> _waiting = new();
    private readonly HashSet<string> _known;
    private TraceTail? _current;
    private long _lookedAt;

    /// <exception cref="CommandFailure">There is no such guest.</exception>
    public TailCommand(CommandContext context, TailRequest request)
    {
        StoredGuest guest = StoredGuest.Find(context.Store, request.Guest);
        _context = context;
        _request = request;
        _printer = request.Json ? new TailJsonPrinter(context.Output) : new TailTextPrinter(context.Output, context.Time);
        _known = [.. guest.Boots.Select(b => b.Name)];
        _lookedAt = context.Time.GetTimestamp();
        if (guest.NewestBoot is StoredBoot newest)
        {
            _current = Open(newest, fromEnd: true);
        }
        else
        {
            context.Error.WriteLine($"nothing of {guest.Name} is stored yet; waiting");
        }
    }

    public static int Run(CommandContext context, TailRequest request, CancellationToken stop)
    {
        using TailCommand command = new(context, request);
        while (!stop.IsCancellationRequested)
        {
            command.Poll(stop);
            stop.WaitHandle.WaitOne(Interval);
        }
        return ExitCode.Done;
    }

    /// <summary>Shows what is new.</summary>
    public void Poll(CancellationToken stop)
    {
        LookForBoots();
        while (_waiting.TryDequeue(out StoredBoot? next))
        {
            // What the older one got before the newer one began is shown first.
            _current?.Poll(isOver: true, stop);
            _current?.Dispose();
            _current = Open(next, fromEnd: false);
        }
        _current?.Poll(isOver: false, stop);
        _context.Output.Flush();
    }

    public void Dispose()
    {
        _current?.Dispose();
        (_printer as IDisposable)?.Dispose();
    }

    private void LookForBoots()
    {
        if (_context.Time.GetElapsedTime(_lookedAt) < BootInterval)
        {
            return;
        }
        _lookedAt = _context.Time.GetTimestamp();
        string boots = StorePaths.Boots(StorePaths.Guest(_context.Store, _request.Guest));
        IEnumerable<string> folders = Directory.Exists(boots) ? Directory.GetDirectories(boots) : [];
        IEnumerable<StoredBoot> found = folders.Where(f => !_known.Contains(Path.GetFileName(f))).Select(StoredBoot.TryOpen).OfType<StoredBoot>();
        foreach (StoredBoot boot in found.OrderBy(b => b.Started).ThenBy(b => b.Name, StringComparer.Ordinal))
        {
            _known.Add(boot.Name);
            _waiting.Enqueue(boot);
        }
    }

    private TraceTail Open(StoredBoot boot, bool fromEnd)
    {
        _printer.Boot(boot);
        return new TraceTail(_context, _request, boot, _printer, fromEnd);
    }
}
