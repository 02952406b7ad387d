using System.Diagnostics;
using VsockPair.Cases;
using VsockPair.Functional.Tests.Collector;

namespace VsockPair.Functional.Tests.Cases;

public sealed class CaseKillTests
{
    private static readonly string[] Points =
    [
        CasePaths.Vmcore, CasePaths.Dmesg, CasePaths.Kmsg, CasePaths.Kmsg + " written", CasePaths.Trace, CasePaths.ReadMe, CasePaths.ReadMe + " written", CasePaths.ManifestName,
    ];

    [Fact]
    public void Killed_at_any_point_it_leaves_nothing_half_done_and_the_next_run_finishes()
    {
        using CaseStore store = new();
        foreach (string point in Points)
        {
            Assert.True(DyingAssembly.Start(store, point), point);
            Assert.Null(store.Manifest);
            // What has its final name is whole.
            string log = Path.Combine(store.Case, CasePaths.Kmsg);
            Assert.True(!File.Exists(log) || File.ReadAllText(log).EndsWith("Kernel panic - not syncing: test\n", StringComparison.Ordinal), point);
        }
        Assert.False(DyingAssembly.Start(store, "nowhere"));
        Assert.NotNull(store.Manifest!.Closed);
        store.AssertConsistent();
        Assert.Empty(Directory.GetFiles(store.Case, "*.partial", SearchOption.AllDirectories));
        // And over what is there already: the old manifest holds until the new one does.
        CasePart[] before = [.. store.Manifest.Parts];
        foreach (string point in Points)
        {
            Assert.True(DyingAssembly.Start(store, point), point);
            Assert.Equal(before, store.Manifest.Parts);
        }
        Assert.False(DyingAssembly.Start(store, "nowhere"));
        store.AssertConsistent();
    }

    [Fact]
    public void The_program_killed_at_any_moment_leaves_a_case_that_it_can_finish()
    {
        using CaseStore store = new(records: 20_000);
        for (int i = 0; i < 8; i++)
        {
            using CollectorProcess process = Start(store);
            Thread.Sleep(150 * (i + 1));
            process.Kill();
        }
        using CollectorProcess last = Start(store);
        Assert.True(last.AwaitExit() == 0, last.Output);
        Assert.NotNull(store.Manifest!.Closed);
        store.AssertConsistent();
        // It may have been killed between a file's making and its lock.
        Assert.Empty(Directory.GetFiles(store.Case, "*.partial", SearchOption.AllDirectories));
    }

    [Fact]
    public void The_program_gives_up_what_it_does_not_need()
    {
        using CaseStore store = new();
        // A log that it waits for shows the process at its work.
        string log = Directory.GetFiles(store.Folder, "*.kmsg", SearchOption.AllDirectories).Single();
        File.Delete(log);
        using (Process fifo = Process.Start("mkfifo", log))
        {
            fifo.WaitForExit();
        }
        using Process process = Process.Start(new ProcessStartInfo("dotnet", Arguments(store)))!;
        try
        {
            TestStore.Await(() => File.Exists(Path.Combine(store.Case, CasePaths.Kmsg + CasePaths.PartialSuffix)), "it reads the log");
            string status = File.ReadAllText($"/proc/{process.Id}/status");
            string limits = File.ReadAllText($"/proc/{process.Id}/limits");
            Assert.Contains("NoNewPrivs:\t1", status, StringComparison.Ordinal);
            Assert.Matches(@"Max core file size +0 +0 ", limits);
            Assert.Matches(@"Max data size +1073741824 +1073741824 ", limits);
            Assert.DoesNotMatch(@"Max address space +unlimited", limits);
            // Field 41 of proc(5): SCHED_IDLE.
            string stat = File.ReadAllText($"/proc/{process.Id}/task/{process.Id}/stat");
            Assert.Equal("5", stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[38]);
        }
        finally
        {
            process.Kill();
            process.WaitForExit();
        }
    }

    private static CollectorProcess Start(CaseStore store) => new("dotnet", Arguments(store));

    private static string[] Arguments(CaseStore store) => [Path.Combine(AppContext.BaseDirectory, "vsockpair.dll"), "assemble", store.Id, "--final", "--store", store.Folder];
}
