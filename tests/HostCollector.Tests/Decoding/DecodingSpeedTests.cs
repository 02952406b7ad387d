using System.Diagnostics;
using VsockPair.Decoding;
using VsockPair.Tracing;
using Xunit.Abstractions;

namespace VsockPair.HostCollector.Tests.Decoding;

/// <summary>Walking and printing allocate nothing for an event; how fast they are is shown, and bounded far below that.</summary>
public sealed class DecodingSpeedTests(ITestOutputHelper output)
{
    private const double SlowestWalkPerSecond = 2_000_000;
    private const double SlowestPrintPerSecond = 50_000;

    /// <summary>The best of them counts: the machine has other work.</summary>
    private const int Tries = 10;

    [Fact]
    public void Events_are_walked_and_printed_without_allocation()
    {
        CaptureFile capture = CaptureFile.Read(Path.Combine(ReportTests.Folder, "Linux612-common.zip"));
        ReportText report = new(capture.Catalog());
        TextLine text = new();
        Measure("walked", SlowestWalkPerSecond, 200, () => Walk(capture));
        Measure("printed", SlowestPrintPerSecond, 5, () => Print(capture, report, text));
    }

    private void Measure(string what, double slowest, int rounds, Func<long> round)
    {
        // Everything is parsed and compiled once.
        for (int i = 0; i < 20; i++)
        {
            round();
        }
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        long events = 0;
        double perSecond = 0;
        for (int i = 0; i < Tries; i++)
        {
            long start = Stopwatch.GetTimestamp();
            long before = events;
            for (int j = 0; j < rounds; j++)
            {
                events += round();
            }
            perSecond = Math.Max(perSecond, (events - before) / Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        output.WriteLine($"{what}: {perSecond / 1e6:0.00} million events per second, {(double)allocated / events:0.0} bytes allocated for each");
        Assert.Equal(0, allocated / events);
        Assert.InRange(perSecond, slowest, double.MaxValue);
    }

    private static long Walk(CaptureFile capture)
    {
        long events = 0;
        foreach (byte[] bytes in capture.Cpus)
        {
            for (int at = 0; at < bytes.Length; at += capture.SubBufferBytes)
            {
                EventCursor cursor = new(bytes.AsSpan(at, capture.SubBufferBytes));
                while (cursor.TryRead(out _))
                {
                    events++;
                }
            }
        }
        return events;
    }

    private static long Print(CaptureFile capture, ReportText report, TextLine text)
    {
        long events = 0;
        for (int cpu = 0; cpu < capture.Cpus.Count; cpu++)
        {
            byte[] bytes = capture.Cpus[cpu];
            for (int at = 0; at < bytes.Length; at += capture.SubBufferBytes)
            {
                EventCursor cursor = new(bytes.AsSpan(at, capture.SubBufferBytes));
                while (cursor.TryRead(out RingEvent ringEvent))
                {
                    text.Clear();
                    report.Append(text, cpu, ringEvent, default);
                    events++;
                }
            }
        }
        return events;
    }
}
