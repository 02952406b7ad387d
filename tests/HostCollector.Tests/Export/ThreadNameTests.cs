using VsockPair.HostCollector.Tests.Commands;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Export;

/// <summary>The column of names, where <c>saved_cmdlines</c> and the events do not agree: trace-cmd shows of a .dat what .txt says.</summary>
public sealed class ThreadNameTests : IDisposable
{
    private const ulong Start = 100_000_000_000;

    private readonly SampleStore _store = new();

    public ThreadNameTests()
    {
        _store.AddGuest("web1");
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon.AddSeconds(-100));
    }

    public void Dispose() => _store.Dispose();

    /// <summary>Given both names of thread 20, trace-cmd shows either, as the number of the others has it.</summary>
    [TraceCmdFact]
    public async Task Thread_that_the_idle_thread_switches_to_at_first_keeps_the_name_it_had_then()
    {
        for (int others = 0; others < 9; others++)
        {
            string saved = string.Concat(Enumerable.Range(200, others).Select(pid => $"{pid} other\n"));
            WriteSwitches($"10 first\n20 after\n30 last\n{saved}", (0, "swapper", 20, "before"), (20, "after", 0, "swapper"), (0, "swapper", 10, "new"), (10, "new", 0, "swapper"));
            Assert.Equal(["<idle>-0", "before-20", "<idle>-0", "first-10"], await ThreadsAsync());
        }
    }

    [TraceCmdFact]
    public async Task Thread_that_is_not_saved_has_the_first_name_that_an_event_tells()
    {
        WriteSwitches("10 first\n", (10, "new", 40, "young"), (40, "old", 10, "new"), (10, "new", 40, "old"), (50, "unseen", 0, "swapper"));
        Assert.Equal(["first-10", "young-40", "first-10", "<...>-50"], await ThreadsAsync());
    }

    /// <summary>Thread 11 is called by white space alone, and thread 12 <c>"a\n10 forged"</c>; behind either trace-cmd would know no name.</summary>
    [TraceCmdFact]
    public async Task Names_that_break_the_file_cost_no_other_thread_its_name()
    {
        WriteSwitches("10 first\n11   \n12 a\n10 forged\nnonsense\n7\n13   padded\n14 last\n", (14, "", 10, ""), (10, "", 11, ""), (11, "", 12, ""), (12, "", 13, ""), (13, "", 14, ""));
        Assert.Equal(["last-14", "first-10", "-11", "a-12", "padded-13"], await ThreadsAsync());
    }

    /// <summary>With others on both sides: in the middle of all names lies now one of the two, now the other.</summary>
    [TraceCmdFact]
    public async Task Name_that_no_line_of_the_file_can_say_comes_from_the_event()
    {
        foreach (string odd in new[] { "", " x", "\tx" })
        {
            for (int others = 0; others < 4; others++)
            {
                string saved = string.Concat(Enumerable.Range(200, others).Select(pid => $"{pid} other\n"));
                WriteSwitches($"20 after\n{saved}", (0, "swapper", 20, odd), (20, "after", 0, "swapper"));
                Assert.Equal(["<idle>-0", $"{odd.Trim()}-20"], await ThreadsAsync());
            }
        }
    }

    /// <summary>In place of what the store had.</summary>
    private void WriteSwitches(string saved, params (int, string, int, string)[] switches)
    {
        string trace = Path.Combine(_store.BootFolder(SampleStore.NewBoot), "trace");
        if (Directory.Exists(trace))
        {
            Directory.Delete(trace, recursive: true);
        }
        new SampleSwitches(_store, saved).Write(0, Start, switches);
    }

    /// <summary>The first column of the text, which trace-cmd reports of the .dat as well.</summary>
    private async Task<IEnumerable<string>> ThreadsAsync()
    {
        string[] text = await File.ReadAllLinesAsync(await _store.ExportAsync("txt"));
        List<string> report = [];
        await TraceCmdReport.PrintAsync(await _store.ExportAsync("dat"), report.Add);
        Assert.Equal(text, report);
        return text.Skip(1).Select(line => line[..line.IndexOf('[', StringComparison.Ordinal)].Trim());
    }
}
