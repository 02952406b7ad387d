using VsockPair.Clocks;
using VsockPair.History;

namespace VsockPair.Commands;

/// <summary>What <c>vsockpair kmsg</c> was asked for.</summary>
internal sealed record KmsgRequest(string Guest, Selection Selection, bool Follow, bool Json);

/// <summary>
/// <c>vsockpair kmsg NAME</c>: the stored kernel log, from files alone. Without a range the newest boot; a range in host time covers every boot,
/// because what preceded a crash stands in the boot before.
/// </summary>
internal sealed class KmsgCommand
{
    private static readonly TimeSpan FollowInterval = TimeSpan.FromMilliseconds(250);

    private readonly CommandContext _context;
    private readonly KmsgRequest _request;
    private readonly StoredGuest _guest;
    private readonly IKmsgPrinter _printer;
    private int _shown;

    private KmsgCommand(CommandContext context, KmsgRequest request)
    {
        _context = context;
        _request = request;
        _guest = StoredGuest.Find(context.Store, request.Guest);
        IReadOnlyList<StoredBoot> boots = request.Selection.BootsOf(_guest, allByDefault: false);
        _printer = request.Json
            ? new KmsgJsonPrinter(context.Output)
            : new KmsgTextPrinter(context.Output, namesBoots: boots.Count > 1 || request.Follow, context.HasColours);
    }

    public static int Run(CommandContext context, KmsgRequest request, CancellationToken stop)
    {
        KmsgCommand command = new(context, request);
        return request.Follow ? command.Follow(stop) : command.Show();
    }

    private int Show()
    {
        IReadOnlyList<StoredBoot> boots = _request.Selection.BootsOf(_guest, allByDefault: false);
        HostRange range = HostRange.Of(_request.Selection, boots, GuestTimeLine.Log, _context.Error);
        foreach (StoredBoot boot in boots)
        {
            if (Open(boot, range) is (KmsgLog log, KmsgChoice choice))
            {
                using (log)
                {
                    log.ReadOn(choice, settled: true);
                    _shown += choice.Shown;
                }
            }
        }
        if (_shown > 0)
        {
            return ExitCode.Done;
        }
        string where = boots.Count == 1 ? $"boot {boots[0].Name} of {_guest.Name}" : _guest.Name;
        throw new CommandFailure(ExitCode.NothingFound, _request.Selection is { Since: null, Until: null }
            ? $"no kernel log of {where} is stored" + (_guest.Boots.Count > 1 && _request.Selection.Boot is null ? "; try the boot before it: -b -1" : "")
            : $"no kernel log of {where} in that range");
    }

    /// <summary>Until it is stopped, over rotation and new boots.</summary>
    private int Follow(CancellationToken stop)
    {
        IReadOnlyList<StoredBoot> boots = _request.Selection.BootsOf(_guest, allByDefault: false);
        HostRange range = HostRange.Of(_request.Selection, boots, GuestTimeLine.Log, _context.Error);
        Queue<StoredBoot> waiting = new(boots);
        HashSet<string> known = [.. _guest.Boots.Select(b => b.Name)];
        (KmsgLog Log, KmsgChoice Choice)? current = null;
        bool quiet = false;
        while (!stop.IsCancellationRequested)
        {
            // A boot is looked for before the log is read: what the older one got before the newer one began is then shown first.
            if (_request.Selection.Boot is null && quiet)
            {
                foreach (StoredBoot boot in StoredGuest.Open(_context.Store, _guest.Name).Boots.Where(b => known.Add(b.Name)))
                {
                    waiting.Enqueue(boot);
                }
            }
            quiet = current?.Log.ReadOn(current.Value.Choice, settled: quiet) != true;
            if (quiet && waiting.TryDequeue(out StoredBoot? next))
            {
                current?.Log.ReadOn(current.Value.Choice, settled: true);
                current?.Log.Dispose();
                // What began after the command did is after every lower bound.
                current = Open(next, boots.Contains(next) ? range : HostRange.All);
                quiet = false;
            }
            else if (waiting.Count == 0)
            {
                _context.Output.Flush();
                stop.WaitHandle.WaitOne(FollowInterval);
            }
        }
        current?.Log.Dispose();
        return ExitCode.Done;
    }

    private (KmsgLog Log, KmsgChoice Choice)? Open(StoredBoot boot, HostRange range)
    {
        ClockModel? clock = _request.Json || range.NeedsClock ? ClockModel.Load(boot, _context.Error) : null;
        if (range.InGuestClock(boot, clock, _context.Error) is not (long from, long to))
        {
            return null;
        }
        KmsgLog log = new(boot);
        if (from > 0)
        {
            log.Seek(from);
        }
        return (log, new KmsgChoice(_printer, boot, clock, from, to, KmsgChoice.RemovedUpTo(_guest, boot, _context.Error)));
    }
}
