using System.Globalization;
using VsockPair.Options;
using VsockPair.Storage;

namespace VsockPair.Cases;

/// <summary>Names of a case (README, "The store"): <c>cases/YYYYMMDDTHHMMSSZ-NAME[-N]/</c>.</summary>
internal static class CasePaths
{
    public const string Vmcore = "vmcore";
    public const string Dmesg = "dmesg.txt";
    public const string Trace = "trace.dat";
    public const string Kmsg = "kmsg.txt";
    public const string Pstore = "pstore";
    public const string ReadMe = "README.txt";

    private const string TimeFormat = "yyyyMMdd'T'HHmmss'Z'";
    private const int TimeLength = 16;

    public static string Folder(string store, string id) => Path.Combine(StorePaths.Cases(store), id);

    public static string Event(string folder) => Path.Combine(folder, "event.json");

    public static string Manifest(string folder) => Path.Combine(folder, "manifest.json");

    /// <param name="number">0 for the first case of this guest in that second, which has no suffix.</param>
    public static string Id(DateTimeOffset time, string guest, int number) => string.Create(
        CultureInfo.InvariantCulture, $"{time.UtcDateTime.ToString(TimeFormat, CultureInfo.InvariantCulture)}-{guest}{(number == 0 ? "" : $"-{number}")}");

    /// <summary>Whether a folder of <c>cases/</c> can be a case: anything else there is left alone.</summary>
    public static bool IsId(string name) =>
        name.Length > TimeLength + 1 && name[TimeLength] == '-' && GuestName.IsSafe(name)
        && DateTime.TryParseExact(name.AsSpan(0, TimeLength), TimeFormat, CultureInfo.InvariantCulture, DateTimeStyles.None, out _);
}
