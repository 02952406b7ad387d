using VsockPair.Commands;
using VsockPair.Storage;

namespace VsockPair.Cases;

/// <summary>Which kernel a case is about.</summary>
/// <param name="Release">As the guest claims it; null when its boot is no longer stored.</param>
internal sealed record CaseKernel(string? BuildId, string? Release)
{
    public static CaseKernel Of(string store, StoredCase found)
    {
        string? buildId = found.Manifest?.BuildId;
        StoredBoot? boot = found.Event.Boot is string name && StorePaths.TryParseBootName(name, out _, out _) && Options.GuestName.IsSafe(found.Event.Guest)
            ? StoredBoot.TryOpen(Path.Combine(StorePaths.Boots(StorePaths.Guest(store, found.Event.Guest)), name))
            : null;
        return new CaseKernel(BuildIdNote.IsBuildId(buildId) ? buildId : null, boot?.Record?.Kernel);
    }
}
