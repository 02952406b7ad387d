using System.Globalization;
using VsockPair.Cases;
using VsockPair.Clocks;
using VsockPair.Storage;
using VsockPair.TestKit;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;
using StoredGuest = VsockPair.Commands.StoredGuest;

namespace VsockPair.Vm.Tests;

/// <summary>What is asked of the cases of real guests.</summary>
internal static class CaseCheck
{
    /// <summary>Of the trace's end before the guest's own log line of what killed it.</summary>
    private const double MostSeconds = 0.05;

    /// <summary>Oldest first; a folder whose event.json is not there yet is none.</summary>
    public static IReadOnlyList<CaseEvent> Cases(string store) => !Directory.Exists(StorePaths.Cases(store)) ? []
        : [.. Directory.GetDirectories(StorePaths.Cases(store)).Select(f => DurableFile.TryRead(CasePaths.Event(f), CaseJson.Default.CaseEvent)).OfType<CaseEvent>().OrderBy(c => c.Time)];

    public static CaseManifest ManifestOf(string store, CaseEvent happened) =>
        DurableFile.TryRead(CasePaths.Manifest(CasePaths.Folder(store, happened.Id)), CaseJson.Default.CaseManifest)!;

    public static void Show(ITestOutputHelper output, string folder, CaseManifest manifest)
    {
        output.WriteLine(string.Join(", ", manifest.Parts.Select(p => $"{p.Path} {p.Bytes} {p.Source}{(p.Complete ? "" : " (not complete)")}")));
        foreach (MissingPart missing in manifest.Missing)
        {
            output.WriteLine($"{missing.Part}: {missing.Reason}");
        }
        output.WriteLine(File.ReadAllText(Path.Combine(folder, CasePaths.ReadMe)));
    }

    public static async Task<string> BuildIdAsync(Guest guest)
    {
        byte[] notes = await guest.ReadFileAsync("/sys/kernel/notes");
        int name = notes.AsSpan().IndexOf("GNU\0"u8);
        return Convert.ToHexStringLower(notes.AsSpan(name + 4, 20));
    }

    /// <summary>The last scheduler event lies close before the log line of the trigger, both on the guest's trace clock.</summary>
    public static async Task TraceReachesAsync(string store, CaseEvent happened, string folder, string trigger, ITestOutputHelper output)
    {
        List<string> events = [];
        await TraceCmdReport.PrintAsync(Path.Combine(folder, CasePaths.Trace), events.Add);
        double last = events.Where(l => l.Contains("sched_", StringComparison.Ordinal)).Max(TimeOf);
        string line = File.ReadAllLines(Path.Combine(folder, CasePaths.Kmsg)).First(l => l.Contains(trigger, StringComparison.Ordinal));
        double triggered = double.Parse(line[(line.IndexOf('[', StringComparison.Ordinal) + 1)..line.IndexOf(']', StringComparison.Ordinal)], CultureInfo.InvariantCulture);
        ClockModel clock = ClockModel.Load(StoredGuest.Open(store, happened.Guest).Boots.Single(b => b.Name == happened.Boot), TextWriter.Null)!;
        double onTraceClock = clock.BootAtLocal((long)(triggered * 1e9)).Nanoseconds / 1e9;
        output.WriteLine($"last event {(onTraceClock - last) * 1000:F1} ms before the trigger, out of {ManifestOf(store, happened).Parts.Single(p => p.Path == CasePaths.Trace).Source}");
        Assert.True(last > onTraceClock - MostSeconds, $"last event at {last}, trigger at {onTraceClock}");
    }

    private static double TimeOf(string line)
    {
        int bracket = line.IndexOf(']', StringComparison.Ordinal);
        int colon = line.IndexOf(':', bracket);
        return double.Parse(line[(bracket + 1)..colon], NumberStyles.Float, CultureInfo.InvariantCulture);
    }
}
