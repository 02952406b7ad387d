using VsockPair.Cases;
using VsockPair.Options;

namespace VsockPair.Watch;

/// <summary>
/// What one guest's crashes may cost. A guest in a crash loop, or one that writes to pvpanic's port for fun, gets no more memory taken, and in the end no more cases.
/// It counts the cases that are there, so it needs no state of its own. What an operator asks for is not counted.
/// </summary>
internal sealed class DumpBrake(CaseFolders cases, WatchOptions options)
{
    public const int CasesPerDay = 20;

    private static readonly TimeSpan Hour = TimeSpan.FromHours(1);
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);

    /// <param name="current">The case that asks; it does not count.</param>
    /// <returns>Null when the memory may be taken.</returns>
    public string? Refuses(CaseFolder current)
    {
        DateTimeOffset now = cases.Now;
        DateTimeOffset[] taken = [.. cases.Of(current.Event.Guest)
            .Where(c => c != current && c.Event is { Attempts: > 0, Kind: not CaseKinds.Dump } && IsWithin(c, now, Day))
            .Select(c => c.Event.Time)];
        int inHour = taken.Count(t => (now - t).Duration() < Hour);
        return inHour >= options.DumpsPerHour ? $"brake: {inHour} within the last hour, and DumpsPerHour is {options.DumpsPerHour}"
            : taken.Length >= options.DumpsPerDay ? $"brake: {taken.Length} within the last day, and DumpsPerDay is {options.DumpsPerDay}"
            : null;
    }

    /// <returns>The guest's newest case when it has had as many as it may: further events count there.</returns>
    public CaseFolder? LastOfTooMany(string guest)
    {
        DateTimeOffset now = cases.Now;
        CaseFolder[] today = [.. cases.Of(guest).Where(c => c.Event.Kind != CaseKinds.Dump && IsWithin(c, now, Day))];
        return today.Length >= CasesPerDay ? today[^1] : null;
    }

    /// <summary>Either side of now: the host's clock may have been set back.</summary>
    private static bool IsWithin(CaseFolder one, DateTimeOffset now, TimeSpan span) => (now - one.Event.Time).Duration() < span;
}
