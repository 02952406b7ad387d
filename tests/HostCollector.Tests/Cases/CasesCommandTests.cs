using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using VsockPair.Cases;
using VsockPair.Commands;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Cases;

public sealed class CasesCommandTests : IDisposable
{
    private readonly SampleCase _sample = SampleCase.WithAll();

    [Theory]
    [InlineData("20260131T120000Z-web1", true)]
    [InlineData("20260131T120000Z-web1-12", true)]
    [InlineData("20260131T120000Z-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false)]
    [InlineData("20260131T120000Z-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true)]
    [InlineData("20260131T120000Z-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-3", true)]
    [InlineData("20260131T120000Z-cid-5", true)]
    [InlineData("20261331T120000Z-web1", false)]
    [InlineData("20260131T120000Z-../web1", false)]
    [InlineData("20260131T120000Z-", false)]
    [InlineData("20260131T120000Z--1", false)]
    [InlineData(".removed-20260131T120000Z-web1", false)]
    [InlineData("removed.jsonl", false)]
    public void Id_is_time_name_and_number(string name, bool isId) => Assert.Equal(isId, CasePaths.IsId(name));

    [Theory]
    [InlineData("web", "20260131T120000Z-web", true)]
    [InlineData("web", "20260131T120000Z-web-1", true)]
    [InlineData("web-1", "20260131T120000Z-web-1", true)]
    [InlineData("web", "20260131T120000Z-web-x", false)]
    [InlineData("web", "20260131T120000Z-web1", false)]
    [InlineData("web-1", "20260131T120000Z-web", false)]
    public void A_case_is_kept_for_every_guest_whose_it_may_be(string guest, string id, bool may) => Assert.Equal(may, CasePaths.MayBeOf(id, guest));

    [Fact]
    public void Ids_that_are_made_are_ids()
    {
        foreach (int number in (int[])[0, 1, 999])
        {
            Assert.True(CasePaths.IsId(CasePaths.Id(SampleCase.Crash, new string('a', 64), number)));
        }
    }

    [Fact]
    public async Task List_shows_the_newest_first_and_leaves_alone_what_is_no_case()
    {
        _sample.Assemble(final: true);
        CaseEvent later = _sample.Event with { Id = CasePaths.Id(SampleCase.Crash.AddHours(1), "web1", 0), Time = SampleCase.Crash.AddHours(1), Kind = CaseKinds.Reset, Memory = null, Repeats = 7 };
        _sample.WriteEvent(later);
        foreach (string other in (string[])["20260131T120000Z-half", ".removed-20260131T120000Z-web1", "lost+found"])
        {
            Directory.CreateDirectory(Path.Combine(StorePaths.Cases(_sample.Store.Root), other));
        }
        (int exitCode, string output, _) = await _sample.Store.RunAsync("cases");
        string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal((ExitCode.Done, 3), (exitCode, lines.Length));
        Assert.StartsWith(later.Id, lines[1], StringComparison.Ordinal);
        Assert.EndsWith("open, not assembled yet, 7 more counted", lines[1], StringComparison.Ordinal);
        Assert.EndsWith("closed, 5 missing", lines[2], StringComparison.Ordinal);
        JsonArray json = JsonNode.Parse((await _sample.Store.RunAsync("cases", "--json")).Output)!.AsArray();
        Assert.Equal([later.Id, CasePaths.Id(SampleCase.Crash, "web1", 0)], json.Select(c => c!["id"]!.GetValue<string>()));
    }

    [Fact]
    public async Task View_of_the_last_case_tells_what_there_is_what_is_not_and_what_to_type_next()
    {
        _sample.Assemble(final: true);
        (int exitCode, string output, _) = await _sample.Store.RunAsync("cases", "last");
        Assert.Equal(ExitCode.Done, exitCode);
        Assert.StartsWith($"{_sample.Id}: web1 panicked at ", output, StringComparison.Ordinal);
        Assert.Contains($"  the guest came back: boot {SampleStore.NewBoot} first seen\n", output, StringComparison.Ordinal);
        Assert.Contains("\nkmsg.txt ", output, StringComparison.Ordinal);
        Assert.Contains("missing vmcore: the policy of this guest is Memory=none\n", output, StringComparison.Ordinal);
        Assert.Contains($"vsockpair export {_sample.Id} -o ", output, StringComparison.Ordinal);
        JsonNode json = JsonNode.Parse((await _sample.Store.RunAsync("cases", _sample.Id, "--json")).Output)!;
        Assert.Equal("panic", json["event"]!["kind"]!.GetValue<string>());
        Assert.Equal(_sample.Manifest.Parts.Count, json["manifest"]!["parts"]!.AsArray().Count);
    }

    [Fact]
    public async Task What_is_not_there_is_told_with_what_is()
    {
        (int exitCode, _, string error) = await _sample.Store.RunAsync("cases", "20260131T120000Z-web9");
        Assert.Equal(ExitCode.NothingFound, exitCode);
        Assert.Contains($"no case 20260131T120000Z-web9; there are 1, the newest: {_sample.Id}", error, StringComparison.Ordinal);
        Directory.Delete(StorePaths.Cases(_sample.Store.Root), recursive: true);
        Assert.Equal(ExitCode.NothingFound, (await _sample.Store.RunAsync("cases")).ExitCode);
        Assert.Equal(ExitCode.NothingFound, (await _sample.Store.RunAsync("cases", "last")).ExitCode);
        Assert.Equal(ExitCode.NothingFound, (await _sample.Store.RunAsync("debug", "last")).ExitCode);
    }

    [Fact]
    public async Task A_manifest_that_lies_leads_nowhere()
    {
        _sample.Assemble(final: true);
        CasePart wrong = new("../../../etc/passwd", "stream", 1, "00", SampleCase.Crash, true);
        CaseManifest manifest = _sample.Manifest with { Parts = [wrong with { Path = CasePaths.Dmesg }, wrong with { Path = "pstore/../../x\u001b" }, wrong] };
        File.Delete(Path.Combine(_sample.Folder, CasePaths.Dmesg));
        File.CreateSymbolicLink(Path.Combine(_sample.Folder, CasePaths.Dmesg), "/etc/passwd");
        DurableFile.Replace(CasePaths.Manifest(_sample.Folder), manifest, CaseJson.Default.CaseManifest);
        (int exitCode, string output, _) = await _sample.Store.RunAsync("cases", "last");
        Assert.Equal(ExitCode.Done, exitCode);
        Assert.DoesNotContain('\u001b', output);
        Assert.DoesNotContain("root:", output, StringComparison.Ordinal);
        string archive = Path.Combine(_sample.Store.Root, "x.tar.zst");
        (exitCode, _, string error) = await _sample.Store.RunAsync("export", "last", "-o", archive);
        Assert.Equal(ExitCode.Failed, exitCode);
        Assert.Contains(CasePaths.Dmesg, error, StringComparison.Ordinal);
        Assert.False(File.Exists(archive));
    }

    [Fact]
    public async Task A_thousand_cases_are_listed_at_once()
    {
        _sample.Assemble(final: true);
        CaseManifest manifest = _sample.Manifest;
        for (int i = 1; i < 1000; i++)
        {
            CaseEvent other = _sample.Event with { Id = CasePaths.Id(SampleCase.Crash.AddSeconds(-i), "web1", 0), Time = SampleCase.Crash.AddSeconds(-i) };
            string folder = CasePaths.Folder(_sample.Store.Root, other.Id);
            Directory.CreateDirectory(folder);
            File.WriteAllBytes(CasePaths.Event(folder), JsonSerializer.SerializeToUtf8Bytes(other, CaseJson.Default.CaseEvent));
            File.WriteAllBytes(CasePaths.Manifest(folder), JsonSerializer.SerializeToUtf8Bytes(manifest, CaseJson.Default.CaseManifest));
        }
        await _sample.Store.RunAsync("cases");
        Stopwatch watch = Stopwatch.StartNew();
        (_, string output, _) = await _sample.Store.RunAsync("cases");
        Assert.Equal(1001, output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        // A hundredth of this on an idle machine; reading what the parts hold would take longer than this.
        Assert.InRange(watch.Elapsed.TotalSeconds, 0, 8);
    }

    public void Dispose() => _sample.Dispose();
}
