using System.Text.Json.Nodes;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.HostCollector.Tests.Decoding;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Export;

/// <summary>KernelShark opens a .dat and has the events, times, tasks and losses of the .ndjson.</summary>
public sealed class KernelSharkTests : IDisposable
{
    private const ulong Start = 100_000_000_000;

    private readonly SampleStore _store = new();

    public void Dispose() => _store.Dispose();

    [KernelSharkFact]
    public async Task Has_the_events_of_recordings_of_real_guests()
    {
        foreach (string file in Directory.GetFiles(ReportTests.Folder, "*.zip"))
        {
            new SampleTrace(_store).WriteCapture(CaptureFile.Read(file));
            await CompareAsync(Path.GetFileName(file));
        }
    }

    [KernelSharkFact]
    public async Task Has_the_events_of_vcpus_with_gaps_between_their_numbers_and_the_losses()
    {
        SampleTrace trace = NewTrace();
        trace.WriteSegment(1, Start, SampleTrace.SubBufferOf(Start, 0, 3), SampleTrace.SubBufferOf(Start + 500_000, 500, SampleTrace.MostEvents));
        trace.WriteSegment(6, Start + 10, SampleTrace.SubBufferOf(Start + 10, 1000, 100));
        SampleStore.AddLosses(
            _store.BootFolder(SampleStore.NewBoot), new LossRecord { Time = SampleStore.Noon, Source = "transport", Stream = "cpu1", First = Start, Events = 7 });
        List<KernelSharkRow> rows = await CompareAsync("two vCPUs");
        Assert.Single(rows, row => row.Event == KernelShark.Lost);
        await CompareAsync("vCPU 6 alone", "--cpu", "6");
    }

    [KernelSharkFact]
    public async Task Shows_the_hosts_time_on_the_hosts_clock()
    {
        NewTrace().WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 100));
        List<KernelSharkRow> rows = await KernelShark.ReadAsync(await _store.ExportAsync("dat", "--clock", "host"));
        Assert.Equal((ulong)(SampleStore.Noon - DateTimeOffset.UnixEpoch).Ticks * 100, rows[0].Time);
    }

    [KernelSharkFact]
    public async Task Opens_a_whole_file_in_its_window_and_no_broken_one()
    {
        new SampleTrace(_store).WriteCapture(CaptureFile.Read(Path.Combine(ReportTests.Folder, "Linux612-common.zip")));
        string file = await _store.ExportAsync("dat");
        string picture = Path.Combine(_store.Root, "kernelshark.png");
        Assert.Null(await KernelShark.ShowAsync(file, picture));
        Assert.True(new FileInfo(picture).Length > 10_000);

        using (FileStream cut = File.OpenWrite(file))
        {
            cut.SetLength(cut.Length / 2);
        }
        Assert.Contains("KernelShark reports an error", await KernelShark.ShowAsync(file, picture), StringComparison.Ordinal);
        await Assert.ThrowsAsync<InvalidOperationException>(() => KernelShark.ReadAsync(file));
    }

    private SampleTrace NewTrace()
    {
        _store.AddGuest("web1");
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon.AddSeconds(-100));
        SampleTrace trace = new(_store);
        trace.WriteMetadata();
        return trace;
    }

    /// <summary>Events of one nanosecond on two CPUs have no order of their own, so each CPU is compared for itself.</summary>
    private async Task<List<KernelSharkRow>> CompareAsync(string what, params string[] options)
    {
        List<KernelSharkRow> rows = await KernelShark.ReadAsync(await _store.ExportAsync("dat", options));
        Assert.Equal(rows.Select(row => row.Time).Order(), rows.Select(row => row.Time));
        ILookup<int, KernelSharkRow> found = rows.ToLookup(row => row.Cpu);
        ILookup<int, KernelSharkRow> expected = (await File.ReadAllLinesAsync(await _store.ExportAsync("ndjson", options))).Skip(1).Select(Expected).ToLookup(row => row.Cpu);
        Assert.NotEmpty(expected);
        Assert.Equal(expected.Select(cpu => cpu.Key).Order(), found.Select(cpu => cpu.Key).Order());
        foreach (IGrouping<int, KernelSharkRow> cpu in expected)
        {
            foreach ((KernelSharkRow wanted, KernelSharkRow row) in cpu.Zip(found[cpu.Key]))
            {
                // KernelShark gives a loss the time and the task of the event after it.
                Assert.True(wanted == row || (wanted.Event == KernelShark.Lost && row.Event == KernelShark.Lost), $"{what}: {row} instead of {wanted}");
            }
            Assert.Equal(cpu.Count(), found[cpu.Key].Count());
        }
        return rows;
    }

    private static KernelSharkRow Expected(string line)
    {
        JsonNode json = JsonNode.Parse(line)!;
        int cpu = json["cpu"]!.GetValue<int>();
        return json["event"] is null
            ? new KernelSharkRow(cpu, 0, 0, "", KernelShark.Lost)
            : new KernelSharkRow(
                cpu, json["guest_time"]!.GetValue<ulong>(), json["pid"]!.GetValue<int>(), json["comm"]!.GetValue<string>(), $"{json["system"]}/{json["event"]}");
    }
}
