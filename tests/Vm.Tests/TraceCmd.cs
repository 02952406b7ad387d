using System.Globalization;
using System.Text;
using VsockPair.TestKit;
using VsockPair.TestKit.Store;

namespace VsockPair.Vm.Tests;

/// <summary>An outside judge: <c>trace-cmd</c> builds a trace.dat from the raw segments and counts the events.</summary>
internal static class TraceCmd
{
    /// <returns>Events per vCPU, as <c>trace-cmd report</c> prints them.</returns>
    public static async Task<long[]> CountEventsAsync(StoredBoot boot, int cpus)
    {
        long[] counts = new long[cpus];
        await ReportAsync(boot, cpus, line =>
        {
            // "  comm-123   [002]    12.345678: sched_switch: …"; lost events have a line of their own that begins with CPU.
            int open = line.IndexOf(" [", StringComparison.Ordinal);
            if (open > 0 && line.Length > open + 5 && line[open + 5] == ']' && int.TryParse(line.AsSpan(open + 2, 3), CultureInfo.InvariantCulture, out int cpu))
            {
                counts[cpu]++;
            }
        });
        return counts;
    }

    /// <summary>Gives every line of <c>trace-cmd report</c>.</summary>
    public static Task ReportAsync(StoredBoot boot, int cpus, Action<string> line) => TraceCmdReport.ReadAsync(
        boot.MetadataNames.Select(name => KeyValuePair.Create(name, boot.Metadata(name))),
        Encoding.ASCII.GetBytes("0000000000000000 T _text\n"),
        [.. Enumerable.Range(0, cpus).Select(cpu => boot.Segments(cpu).Select(segment => segment.Path))],
        boot.Record["sub_buffer_bytes"]!.GetValue<int>(),
        line);
}
