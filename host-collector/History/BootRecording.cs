using System.Globalization;
using VsockPair.Commands;
using VsockPair.Storage;

namespace VsockPair.History;

/// <summary>
/// What is stored of one boot's vCPUs, as far as it was when this was made: the collector may go on writing. Read from files alone.
/// </summary>
internal sealed class BootRecording
{
    private const string StreamPrefix = "cpu";

    private BootRecording(StoredBoot boot, IReadOnlyList<VcpuRecording> vcpus)
    {
        Boot = boot;
        Vcpus = vcpus;
        Oldest = vcpus.Min(v => v.Segments.Count == 0 ? null : (ulong?)v.Segments[0].First);
        Newest = vcpus.Max(v => v.Newest);
    }

    public StoredBoot Boot { get; }

    /// <summary>Those that have a stored sub-buffer, or of which it is known that all was lost, by number; numbers may be missing.</summary>
    public IReadOnlyList<VcpuRecording> Vcpus { get; }

    /// <summary>Trace clock of the newest event; null when nothing is stored.</summary>
    public ulong? Newest { get; }

    /// <summary>Trace clock of the oldest stored segment.</summary>
    public ulong? Oldest { get; }

    public static BootRecording Open(StoredBoot boot) =>
        new(boot, [.. NumbersOf(boot).Select(number => VcpuRecording.TryOpen(boot, number)).OfType<VcpuRecording>()]);

    /// <summary>Of the vCPUs that have a folder, in order.</summary>
    public static int[] NumbersOf(StoredBoot boot)
    {
        string trace = StorePaths.Trace(boot.Folder);
        return !Directory.Exists(trace) ? [] : [.. Directory.EnumerateDirectories(trace).Select(NumberOf).OfType<int>().Order()];
    }

    public BootRecording Only(IReadOnlyCollection<int> numbers) => new(Boot, [.. Vcpus.Where(v => numbers.Contains(v.Number))]);

    /// <summary>And with those that are not in it.</summary>
    public BootRecording With(IEnumerable<VcpuRecording> others) => new(Boot, [.. Vcpus.UnionBy(others, v => v.Number).OrderBy(v => v.Number)]);

    private static int? NumberOf(string folder)
    {
        ReadOnlySpan<char> name = Path.GetFileName(folder.AsSpan());
        return name.StartsWith(StreamPrefix) && int.TryParse(name[StreamPrefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;
    }
}
