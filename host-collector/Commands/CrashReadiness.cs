using VsockPair.Listening;
using VsockPair.Storage;

namespace VsockPair.Commands;

/// <summary>One of the two sides' checks.</summary>
/// <param name="Side"><c>guest</c>: a claim of its agent; <c>host</c>: what the crash service sees.</param>
internal sealed record CrashCheck(string Side, string Check, bool? Ok, string Text, string Fix);

/// <summary>Would a crash of this guest be caught, and how completely? From what the guest's newest boot told, and what <c>watch</c> has published.</summary>
/// <param name="Verdict"><c>yes</c>, <c>partly</c>, <c>no</c> or <c>unknown</c>.</param>
/// <param name="Text">The verdict in a line, without any text of the guest's.</param>
internal sealed record CrashReadiness(string Verdict, string Text, IReadOnlyList<CrashCheck> Checks)
{
    private const string GuestSide = "guest";
    private const string HostSide = "host";

    public static CrashReadiness Of(StoredGuest guest, string store)
    {
        IReadOnlyList<CheckRecord>? told = guest.NewestBoot?.Record?.Readiness;
        IReadOnlyList<CheckRecord>? seen = HostChecksOf(guest, store);
        List<CrashCheck> checks =
        [
            .. seen is null ? [NotWatched(guest)] : seen.Select(c => Of(HostSide, c)),
            .. told is null ? [] : told.Select(c => Of(GuestSide, c)),
        ];
        if (told is null)
        {
            return new CrashReadiness("unknown", "not known: this guest's agent has not told whether it is ready", checks);
        }
        int missing = checks.Count(c => c.Ok == false);
        if (missing == 0)
        {
            return new CrashReadiness("yes", "yes: the host is told and takes the memory; log and trace go on to the last event", checks);
        }
        bool memory = Has(told, "pvpanic") && seen is not null && Lacks(seen, HostChecks.PanicAction) is false && Lacks(seen, HostChecks.Disk) is false;
        string[] kept =
        [
            .. memory ? ["the host takes the memory"] : Array.Empty<string>(),
            .. Has(told, "pstore") ? ["the last messages survive the reboot"] : Array.Empty<string>(),
            .. Has(told, "persistent-ring") ? ["the last events survive the reboot"] : Array.Empty<string>(),
        ];
        string things = missing == 1 ? "1 thing is missing" : $"{missing} things are missing";
        return kept.Length == 0
            ? new CrashReadiness("no", $"no: nothing but what was streamed before is kept; {things}", checks)
            : new CrashReadiness("partly", $"in part: {(memory ? "" : "no memory, ")}{string.Join(", ", kept)}; {things}", checks);
    }

    private static CrashCheck Of(string side, CheckRecord check) => new(side, check.Check, check.Ok, check.Text, check.Fix);

    private static bool Has(IReadOnlyList<CheckRecord> checks, string name) => checks.Any(c => c.Check == name && c.Ok == true);

    private static bool Lacks(IReadOnlyList<CheckRecord> checks, string name) => checks.Any(c => c.Check == name && c.Ok == false);

    private static CrashCheck NotWatched(StoredGuest guest) => new(
        HostSide, "watch", false, "no watch service is looking at this guest: nobody learns of its crash when it happens, and its memory is lost",
        $"vsockpair watch --qmp {guest.Name}=/path/of/its/qmp.sock, or --libvirt qemu:///system");

    /// <summary>Null when no crash service has this guest's machine.</summary>
    private static IReadOnlyList<CheckRecord>? HostChecksOf(StoredGuest guest, string store)
    {
        string folder = StorePaths.Identity(store);
        if (!Directory.Exists(folder))
        {
            return null;
        }
        foreach (string file in Directory.GetFiles(folder, "*.json").Order(StringComparer.Ordinal))
        {
            // A machine may have another name in the configuration, by which its guest is stored, but it has one CID.
            if (DurableFile.TryRead(file, IdentityJson.Default.IdentityRecord) is IdentityRecord machine && (machine.Name == guest.Name || (machine.Cid is uint cid && cid == guest.Record?.Cid)))
            {
                return machine.Host;
            }
        }
        return null;
    }
}
