using System.Diagnostics;
using VsockPair.Linux;
using VsockPair.TestKit;
using Xunit.Abstractions;

namespace VsockPair.HostCollector.Tests;

/// <summary>Runs the cases of a test with made-up bad input: none throws, each ends soon, and memory stays bounded.</summary>
internal static class FuzzRun
{
    private const long MostAllocatedByCase = 64 << 20;
    private const long MostRetained = 256 << 20;

    /// <summary>Of this thread's CPU, whatever else the machine does: a case takes microseconds.</summary>
    private static readonly TimeSpan LongestCase = TimeSpan.FromSeconds(5);

    /// <param name="what">As <c>tests/fuzz/RESULTS.md</c> names it.</param>
    /// <param name="one">Gets the number of the case.</param>
    public static void Run(ITestOutputHelper output, string what, int cases, Action<int> one)
    {
        long longest = 0;
        long mostAllocated = 0;
        Stopwatch total = Stopwatch.StartNew();
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < cases; i++)
        {
            long start = Sys.Now(Constants.CLOCK_THREAD_CPUTIME_ID);
            one(i);
            longest = Math.Max(longest, Sys.Now(Constants.CLOCK_THREAD_CPUTIME_ID) - start);
            long now = GC.GetAllocatedBytesForCurrentThread();
            mostAllocated = Math.Max(mostAllocated, now - allocated);
            allocated = now;
        }
        TimeSpan slowest = TimeSpan.FromMicroseconds(longest / 1000.0);
        long retained = GC.GetTotalMemory(forceFullCollection: true);
        string result = $"{cases} cases in {total.Elapsed.TotalSeconds:0} s; longest {slowest.TotalMilliseconds:0} ms, {mostAllocated >> 10} KiB allocated; {retained >> 20} MiB retained";
        output.WriteLine(result);
        Fuzz.Record(what, result);
        Assert.InRange(slowest, TimeSpan.Zero, LongestCase);
        Assert.InRange(mostAllocated, 0, MostAllocatedByCase);
        Assert.InRange(retained, 0, MostRetained);
    }
}
