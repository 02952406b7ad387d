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

    private BootRecording(StoredBoot boot, IReadOnlyList<VcpuRecording> vcpus, bool isPrevious = false)
    {
        Boot = boot;
        IsPrevious = isPrevious;
        Vcpus = vcpus;
        Oldest = vcpus.Min(v => v.Segments.Count == 0 ? null : (ulong?)v.Segments[0].First);
        Newest = vcpus.Max(v => v.Newest);
    }

    public StoredBoot Boot { get; }

    /// <summary>It is of the guest's persistent ring, and the losses of the boot's streams are none of it.</summary>
    public bool IsPrevious { get; }

    /// <summary>Those that have a stored sub-buffer, or of which it is known that all was lost, by number; numbers may be missing.</summary>
    public IReadOnlyList<VcpuRecording> Vcpus { get; }

    /// <summary>Trace clock of the newest event; null when nothing is stored.</summary>
    public ulong? Newest { get; }

    /// <summary>Trace clock of the oldest stored segment.</summary>
    public ulong? Oldest { get; }

    public static BootRecording Open(StoredBoot boot) =>
        new(boot, VcpusIn(StorePaths.Trace(boot.Folder)));

    /// <summary>What the persistent trace ring held of a boot that died, as a later boot found it. Its time stamps are of the dead boot's trace clock, and its metadata decodes them.</summary>
    public static BootRecording OpenPrevious(StoredBoot dead, StoredBoot finder) => new(dead, VcpusIn(StorePaths.Previous(finder.Folder)), isPrevious: true);

    /// <summary>One that holds more, or less, than the store.</summary>
    public static BootRecording Of(StoredBoot boot, IReadOnlyList<VcpuRecording> vcpus) => new(boot, vcpus);

    /// <summary>Of the vCPUs that have a folder, in order.</summary>
    public static int[] NumbersOf(StoredBoot boot) => NumbersIn(StorePaths.Trace(boot.Folder));

    public BootRecording Only(IReadOnlyCollection<int> numbers) => new(Boot, [.. Vcpus.Where(v => numbers.Contains(v.Number))], IsPrevious);

    private static VcpuRecording[] VcpusIn(string streams) =>
        [.. NumbersIn(streams).Select(number => VcpuRecording.TryOpen(Path.Combine(streams, StorePaths.StreamName(number)), number)).OfType<VcpuRecording>()];

    private static int[] NumbersIn(string streams) =>
        !Directory.Exists(streams) ? [] : [.. Directory.EnumerateDirectories(streams).Select(NumberOf).OfType<int>().Order()];

    /// <summary>And with those that are not in it.</summary>
    public BootRecording With(IEnumerable<VcpuRecording> others) => new(Boot, [.. Vcpus.UnionBy(others, v => v.Number).OrderBy(v => v.Number)], IsPrevious);

    private static int? NumberOf(string folder)
    {
        ReadOnlySpan<char> name = Path.GetFileName(folder.AsSpan());
        return name.StartsWith(StreamPrefix) && int.TryParse(name[StreamPrefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;
    }
}
