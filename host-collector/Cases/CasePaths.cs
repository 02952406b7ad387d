using System.Globalization;
using VsockPair.Options;
using VsockPair.Storage;

namespace VsockPair.Cases;

/// <summary>Names of a case (README, "The store"): <c>cases/YYYYMMDDTHHMMSSZ-NAME[-N]/</c>.</summary>
internal static class CasePaths
{
    public const string EventName = "event.json";
    public const string ManifestName = "manifest.json";
    public const string Vmcore = "vmcore";
    public const string Dmesg = "dmesg.txt";
    public const string Tasks = "tasks.txt";
    public const string Registers = "registers.txt";
    public const string Trace = "trace.dat";
    public const string Kmsg = "kmsg.txt";
    public const string Pstore = "pstore";
    public const string ReadMe = "README.txt";

    /// <summary>Added to a name while the file is being written: a final name never holds a part.</summary>
    public const string PartialSuffix = ".partial";

    public const UnixFileMode FolderMode =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute;

    private const string TimeFormat = "yyyyMMdd'T'HHmmss'Z'";
    private const int TimeLength = 16;
    private const int MaxNumberDigits = 9;

    public static string Folder(string store, string id) => Path.Combine(StorePaths.Cases(store), id);

    public static string Event(string folder) => Path.Combine(folder, EventName);

    public static string Manifest(string folder) => Path.Combine(folder, ManifestName);

    /// <param name="number">0 for the first case of this guest in that second, which has no suffix.</param>
    public static string Id(DateTimeOffset time, string guest, int number) => string.Create(
        CultureInfo.InvariantCulture, $"{time.UtcDateTime.ToString(TimeFormat, CultureInfo.InvariantCulture)}-{guest}{(number == 0 ? "" : $"-{number}")}");

    /// <summary>Whether a part's path in a manifest is that of a crash record.</summary>
    public static bool IsPstorePart(string path) => path.StartsWith(Pstore + "/", StringComparison.Ordinal) && PstorePart.IsRecord(path[(Pstore.Length + 1)..]);

    /// <summary>Whether a case can have a part at this path.</summary>
    public static bool IsPart(string path) => path is Vmcore or Dmesg or Tasks or Registers or Trace or Kmsg or ReadMe || IsPstorePart(path);

    /// <summary>Whether a folder of <c>cases/</c> can be a case: anything else there is left alone.</summary>
    public static bool IsId(string name) =>
        name.Length > TimeLength + 1 && name[TimeLength] == '-'
        && DateTime.TryParseExact(name.AsSpan(0, TimeLength), TimeFormat, CultureInfo.InvariantCulture, DateTimeStyles.None, out _)
        && IsGuestAndNumber(name.AsSpan(TimeLength + 1));

    /// <summary>Whether a case may be this guest's: that of <c>web</c> with number 1 may be one of <c>web-1</c> as well.</summary>
    public static bool MayBeOf(string id, string guest)
    {
        ReadOnlySpan<char> rest = id.AsSpan(TimeLength + 1);
        return rest.SequenceEqual(guest)
            || (rest.StartsWith(guest, StringComparison.Ordinal) && rest[guest.Length] == '-' && IsNumber(rest[(guest.Length + 1)..]));
    }

    /// <summary>The names of guests may end like a number themselves: only event.json says whose case it is.</summary>
    private static bool IsGuestAndNumber(ReadOnlySpan<char> rest)
    {
        if (GuestName.IsSafe(rest))
        {
            return true;
        }
        int dash = rest.LastIndexOf('-');
        return dash > 0 && GuestName.IsSafe(rest[..dash]) && IsNumber(rest[(dash + 1)..]);
    }

    private static bool IsNumber(ReadOnlySpan<char> text) => text.Length is > 0 and <= MaxNumberDigits && !text.ContainsAnyExceptInRange('0', '9');
}
