using System.Globalization;
using VsockPair.TestKit.Store;

namespace VsockPair.Demo;

/// <summary>Prints what arrives in a guest's store, by looking at the files alone: new log lines, bytes per vCPU, segments that were closed.</summary>
internal sealed class LiveView(StoredGuest guest, int vcpus)
{
    private const int MostLogLines = 6;

    private readonly HashSet<string> _closed = [];
    private string _boot = "";
    private int _records;
    private long _bytes;

    public void Show()
    {
        if (guest.Boots is not [.., StoredBoot boot])
        {
            return;
        }
        if (boot.BootId != _boot)
        {
            (_boot, _records, _bytes) = (boot.BootId, 0, 0);
            Say($"boot {boot.BootId}, kernel {boot.Record["kernel"]}");
        }
        ShowLog(boot);
        ShowTrace(boot);
    }

    private void ShowLog(StoredBoot boot)
    {
        IReadOnlyList<KmsgText> records = boot.KmsgRecords;
        int fresh = records.Count - _records;
        if (fresh > MostLogLines)
        {
            Say($"kmsg   {fresh - MostLogLines} records …");
        }
        foreach (KmsgText record in records.Skip(_records).TakeLast(MostLogLines))
        {
            // The kernel escapes control bytes itself, so a line is safe on a terminal but for its length.
            string text = record.Raw.Split('\n')[0][(record.Raw.IndexOf(';', StringComparison.Ordinal) + 1)..];
            Say($"kmsg   {text[..Math.Min(text.Length, 110)]}");
        }
        _records = records.Count;
    }

    private void ShowTrace(StoredBoot boot)
    {
        string[] perVcpu = new string[vcpus];
        long total = 0;
        for (int vcpu = 0; vcpu < vcpus; vcpu++)
        {
            long bytes = 0;
            foreach (StoredSegment segment in boot.Segments(vcpu))
            {
                bytes += new FileInfo(segment.Path).Length;
                if (segment.IsClosed && _closed.Add(segment.Path))
                {
                    Say($"rotate cpu{vcpu}/{Path.GetFileName(segment.Path)} is closed, its .sum says: {File.ReadAllText(segment.Path + ".sum").Trim()[..48]}…");
                }
            }
            perVcpu[vcpu] = string.Create(CultureInfo.InvariantCulture, $"cpu{vcpu} {bytes / 1024,6} KiB");
            total += bytes;
        }
        if (total != _bytes)
        {
            Say($"trace  {string.Join("   ", perVcpu)}");
        }
        _bytes = total;
    }

    private static void Say(string line) => Console.WriteLine($"  {DateTimeOffset.Now:HH:mm:ss} {line}");
}
