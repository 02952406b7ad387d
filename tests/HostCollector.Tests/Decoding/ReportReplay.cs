using System.Text;
using VsockPair.Decoding;
using VsockPair.Tracing;

namespace VsockPair.HostCollector.Tests.Decoding;

/// <summary>The events of all CPUs in the order of their times, printed by <see cref="ReportText"/>: what an export does, in its plainest form.</summary>
internal static class ReportReplay
{
    /// <param name="cpus">For each CPU its sub-buffers, one after the other.</param>
    /// <param name="line">Gets each line, and the name of the event that it belongs to.</param>
    public static void Print(EventCatalog catalog, IReadOnlyList<byte[]> cpus, int subBufferBytes, Action<string, string> line)
    {
        List<Entry>[] entries = [.. cpus.Select(bytes => Read(bytes, subBufferBytes))];
        int[] at = new int[cpus.Count];
        ReportText report = new(catalog);
        TextLine text = new();
        bool isConsumed = false;
        int cpu = Earliest(entries, at);
        while (cpu >= 0)
        {
            Entry entry = entries[cpu][at[cpu]++];
            int next = Earliest(entries, at);
            if (!isConsumed)
            {
                if (entry.IsAfterLoss)
                {
                    text.Clear();
                    ReportText.AppendLoss(text, cpu, entry.Lost);
                    line(Encoding.Latin1.GetString(text.Bytes), "");
                }
                text.Clear();
                isConsumed = report.Append(text, cpu, entry.Event(cpus[cpu]), next < 0 ? default : entries[next][at[next]].Event(cpus[next]));
                string name = catalog.Find(entry.Event(cpus[cpu]).Id)?.Name ?? "";
                foreach (string one in Encoding.Latin1.GetString(text.Bytes).Split('\n'))
                {
                    line(one, name);
                }
            }
            else
            {
                isConsumed = false;
            }
            cpu = next;
        }
    }

    // Of events of the same time the one of the lowest CPU comes first.
    private static int Earliest(List<Entry>[] entries, int[] at)
    {
        int earliest = -1;
        for (int cpu = 0; cpu < entries.Length; cpu++)
        {
            if (at[cpu] < entries[cpu].Count && (earliest < 0 || entries[cpu][at[cpu]].TimeStamp < entries[earliest][at[earliest]].TimeStamp))
            {
                earliest = cpu;
            }
        }
        return earliest;
    }

    private static List<Entry> Read(byte[] bytes, int subBufferBytes)
    {
        List<Entry> entries = [];
        for (int at = 0; at + subBufferBytes <= bytes.Length; at += subBufferBytes)
        {
            EventCursor cursor = new(bytes.AsSpan(at, subBufferBytes));
            bool isFirst = true;
            while (cursor.TryRead(out RingEvent ringEvent))
            {
                bytes.AsSpan().Overlaps(ringEvent.Payload, out int offset);
                entries.Add(new Entry(ringEvent.TimeStamp, offset, ringEvent.Payload.Length, isFirst && cursor.Header.Missed, cursor.LostEvents));
                isFirst = false;
            }
            Assert.False(cursor.IsMalformed);
        }
        return entries;
    }

    private readonly record struct Entry(ulong TimeStamp, int Offset, int Length, bool IsAfterLoss, ulong? Lost)
    {
        public RingEvent Event(byte[] bytes) => new() { TimeStamp = TimeStamp, Payload = bytes.AsSpan(Offset, Length) };
    }
}
