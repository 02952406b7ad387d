using System.Text.Json;
using VsockPair.Commands;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Commands;

public sealed class LossesCommandTests : IDisposable
{
    private readonly SampleStore _store = SampleStore.WithTwoBoots();

    public void Dispose() => _store.Dispose();

    [Fact]
    public async Task No_loss_is_a_good_answer()
    {
        Assert.Equal((ExitCode.Done, "nothing of web1 was lost\n", ""), await _store.RunAsync("losses", "web1"));
    }

    [Fact]
    public async Task Ledgers_are_merged_by_time_and_summed_up()
    {
        Fill();
        (int exitCode, string output, string error) = await _store.RunAsync("losses", "web1");
        Assert.Equal((ExitCode.Done, ""), (exitCode, error));
        string[] lines = output.Split('\n');
        Assert.Equal(
            ["2026-01-31T11:30:00", "2026-01-31T12:00:01", "2026-01-31T12:00:02", "2026-01-31T12:00:03", "2026-01-31T12:00:04"],
            lines[1..6].Select(l => l[..19]));
        Assert.Matches("^2026-01-31T11:30:00.000000000Z  0a1b2c3d +ring +cpu10 +\\? +7 +\\?$", lines[1]);
        Assert.Matches("^2026-01-31T12:00:02.000000000Z  0a1b2c3d +retention +cpu0 +16 +90,000 +1 MiB  5..9$", lines[3]);
        string totals = string.Join('\n', lines[7..]);
        Assert.Matches("kmsg +kmsg +1 +12 +0 B\n", totals);
        Assert.Matches("ring +cpu2 +1 +0 +>= 0 +0 B\nring +cpu10 +2 +0 +12 +0 B\n", totals);
    }

    [Theory]
    [InlineData(4, "-S", "2026-01-31T12:00:00Z")]
    [InlineData(2, "-S", "2026-01-31T12:00:00Z", "-U", "2026-01-31T12:00:02Z")]
    [InlineData(2, "-b", "-1")]
    [InlineData(3, "-b", "0")]
    [InlineData(2, "-S", "boot+2")]
    [InlineData(5, "-S", "-2h")]
    public async Task Range_and_boot_choose(int expected, params string[] range)
    {
        Fill();
        (int exitCode, string output, string error) = await _store.RunAsync(["losses", "web1", "--json", .. range]);
        Assert.Equal((ExitCode.Done, ""), (exitCode, error));
        Assert.Equal(expected, JsonDocument.Parse(output).RootElement.GetProperty("losses").GetArrayLength());
    }

    [Fact]
    public async Task Json_keeps_unknown_apart_from_nothing()
    {
        Fill();
        JsonElement root = JsonDocument.Parse((await _store.RunAsync("losses", "web1", "--json")).Output).RootElement;
        Assert.Equal("web1", root.GetProperty("guest").GetString());
        JsonElement first = root.GetProperty("losses")[0];
        Assert.Equal((SampleStore.OldBoot, "cpu10"), (first.GetProperty("boot").GetString(), first.GetProperty("stream").GetString()));
        Assert.Equal(JsonValueKind.Null, first.GetProperty("bytes").ValueKind);
        JsonElement cpu2 = root.GetProperty("totals").EnumerateArray().Single(t => t.GetProperty("stream").GetString() == "cpu2");
        Assert.True(cpu2.GetProperty("lower_bound").GetBoolean());
    }

    [Fact]
    public async Task Line_that_cannot_be_read_is_remarked_upon_unless_it_is_being_written()
    {
        Fill();
        string ledger = StorePaths.Losses(_store.BootFolder(SampleStore.NewBoot));
        File.WriteAllText(ledger, "broken\n" + File.ReadAllText(ledger) + "{\"time\":\"2026-01");
        (int exitCode, _, string error) = await _store.RunAsync("losses", "web1");
        Assert.Equal((ExitCode.Done, $"{ledger}: 1 lines cannot be read and are left out\n"), (exitCode, error));
    }

    private void Fill()
    {
        SampleStore.AddLosses(
            _store.BootFolder(SampleStore.OldBoot),
            new LossRecord { Time = SampleStore.Noon.AddMinutes(-30), Source = "ring", Stream = "cpu10", Events = 7 });
        SampleStore.AddLosses(
            _store.Guest,
            new LossRecord
            {
                Time = SampleStore.Noon.AddSeconds(2), Source = "retention", Stream = "cpu0", First = 5, Last = 9, Records = 16, Events = 90_000, Bytes = 1 << 20, Boot = SampleStore.OldBoot,
            });
        SampleStore.AddLosses(
            _store.BootFolder(SampleStore.NewBoot),
            new LossRecord { Time = SampleStore.Noon.AddSeconds(1), Source = "ring", Stream = "cpu10", Events = 5 },
            new LossRecord { Time = SampleStore.Noon.AddSeconds(3), Source = "ring", Stream = "cpu2" },
            new LossRecord { Time = SampleStore.Noon.AddSeconds(4), Source = "kmsg", Stream = "kmsg", First = 1, Last = 12, Records = 12 });
    }
}
