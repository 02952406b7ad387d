using System.Text;
using System.Text.Json;
using VsockPair.Commands;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.HostCollector.Tests.Commands;

public sealed class KmsgCommandTests : IDisposable
{
    private readonly SampleStore _store = SampleStore.WithTwoBoots();

    public void Dispose() => _store.Dispose();

    [Fact]
    public async Task Log_is_shown_like_dmesg()
    {
        _store.WriteKmsg(SampleStore.NewBoot, 0, """
            6,0,0,-;Linux version 6.12
            4,1,12345678,-;two\x0alines \xe2\x9c\x93 \x1b[2J \xff \x5cx
             SUBSYSTEM=pci
             DEVICE=+pci:0000:00:01.0
            30,2,99999000001,c,extra;systemd

            """);
        (int exitCode, string output, string error) = await _store.RunAsync("kmsg", "web1");
        Assert.Equal((ExitCode.Done, ""), (exitCode, error));
        Assert.Equal(
            "[    0.000000] Linux version 6.12\n"
            + "[   12.345678] two\n               lines ✓ \\x1b[2J \\xff \\x\n"
            + "[99999.000001] systemd\n",
            output);
    }

    [Fact]
    public async Task Gaps_are_shown_and_told_apart_from_retention()
    {
        _store.WriteKmsg(SampleStore.NewBoot, 10, SampleStore.Records(10, 2));
        _store.WriteKmsg(SampleStore.NewBoot, 1512, SampleStore.Records(1512, 1));
        SampleStore.AddLosses(_store.Guest, new LossRecord { Time = SampleStore.Noon, Source = "retention", Stream = "kmsg", First = 2, Last = 7, Records = 6, Boot = SampleStore.NewBoot });
        Assert.Equal(
            "-- 8 records removed by retention --\n-- 2 records lost --\n[   10.000000] record 10\n[   11.000000] record 11\n"
            + "-- 1,500 records lost --\n[ 1512.000000] record 1512\n",
            (await _store.RunAsync("kmsg", "web1")).Output);
    }

    [Fact]
    public async Task Json_has_everything_of_a_record()
    {
        _store.WriteKmsg(SampleStore.NewBoot, 5, "12,5,99000000,-;a\\x0ab\\xff\n SUBSYSTEM=usb\n DEVICE=c189:1\n");
        string[] lines = (await _store.RunAsync("kmsg", "web1", "--json")).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, lines.Length);
        JsonElement gap = JsonDocument.Parse(lines[0]).RootElement.GetProperty("gap");
        Assert.Equal((0, 4, 5), (gap.GetProperty("first").GetInt32(), gap.GetProperty("last").GetInt32(), gap.GetProperty("lost").GetInt32()));
        JsonElement record = JsonDocument.Parse(lines[1]).RootElement;
        Assert.Equal(SampleStore.NewBoot, record.GetProperty("boot").GetString());
        Assert.Equal("2026-01-31T12:01:40.000000000Z", record.GetProperty("time").GetString());
        Assert.Equal((4, 1), (record.GetProperty("level").GetInt32(), record.GetProperty("facility").GetInt32()));
        Assert.Equal("a\nb\ufffd", record.GetProperty("text").GetString());
        Assert.Equal("a\\x0ab\\xff", record.GetProperty("raw").GetString());
        Assert.Equal("usb", record.GetProperty("fields").GetProperty("SUBSYSTEM").GetString());
        Assert.Equal("c189:1", record.GetProperty("fields").GetProperty("DEVICE").GetString());
    }

    [Theory]
    [InlineData(new[] { "-S", "boot+100.5" }, 101, 120)]
    [InlineData(new[] { "-U", "boot+3" }, 0, 3)]
    [InlineData(new[] { "-S", "boot+40", "-U", "boot+42" }, 40, 42)]
    [InlineData(new[] { "-S", "-10" }, 110, 120)]
    [InlineData(new[] { "-S", "-2m", "-U", "-1m" }, 0, 60)]
    [InlineData(new[] { "--since", "2026-01-31T12:01:40Z", "--until", "2026-01-31T13:01:42.5+01:00" }, 99, 101)]
    public async Task Range_is_both_ends_included(string[] range, int first, int last)
    {
        for (int file = 0; file < 12; file++)
        {
            _store.WriteKmsg(SampleStore.NewBoot, (ulong)file * 10, SampleStore.Records(file * 10, file == 11 ? 11 : 10));
        }
        (int exitCode, string output, _) = await _store.RunAsync(["kmsg", "web1", .. range]);
        Assert.Equal(ExitCode.Done, exitCode);
        Assert.Equal(Enumerable.Range(first, last - first + 1).Select(i => $"record {i}"), Texts(output));
    }

    [Fact]
    public async Task Range_in_host_time_covers_the_boot_before_a_crash()
    {
        _store.WriteKmsg(SampleStore.OldBoot, 0, SampleStore.Records(3500, 110));
        _store.WriteKmsg(SampleStore.NewBoot, 0, SampleStore.Records(0, 3));
        // The new boot's log clock read 2 s at 12:00:03; one minute before that the old one's read 3542 s.
        string[] lines = (await _store.RunAsync("kmsg", "web1", "-S", "-1m")).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.StartsWith($"-- boot {SampleStore.OldBoot}, kernel 6.12.0-amd64, first seen 2026-01-31T11:00:00", lines[0], StringComparison.Ordinal);
        Assert.Equal("[ 3542.000000] record 3542", lines[1]);
        Assert.Equal("[ 3609.000000] record 3609", lines[68]);
        Assert.StartsWith($"-- boot {SampleStore.NewBoot}", lines[69], StringComparison.Ordinal);
        Assert.Equal("[    2.000000] record 2", lines[^1]);
    }

    [Fact]
    public async Task Boot_is_chosen_by_number_or_beginning()
    {
        _store.WriteKmsg(SampleStore.OldBoot, 0, SampleStore.Records(0, 1));
        _store.WriteKmsg(SampleStore.NewBoot, 1, SampleStore.Records(1, 1));
        Assert.Equal(["record 0"], Texts((await _store.RunAsync("kmsg", "web1", "-b", "-1")).Output));
        Assert.Equal(["record 0"], Texts((await _store.RunAsync("kmsg", "web1", "--boot", "0a1b")).Output));
        Assert.Contains("record 1", (await _store.RunAsync("kmsg", "web1", "-b", "0")).Output, StringComparison.Ordinal);
        Assert.Equal(
            (ExitCode.NothingFound, $"vsockpair: no boot 77 of web1; stored, newest last: {SampleStore.OldBoot}, {SampleStore.NewBoot}\n"),
            await ExitAndError("kmsg", "web1", "-b", "77"));
        _store.AddBoot(SampleStore.OldBoot + ".1", SampleStore.Noon);
        Assert.Equal(["record 0"], Texts((await _store.RunAsync("kmsg", "web1", "-b", SampleStore.OldBoot)).Output));
        (int exitCode, string error) = await ExitAndError("kmsg", "web1", "-b", "0a1b");
        Assert.Equal(ExitCode.Usage, exitCode);
        Assert.StartsWith("vsockpair: 2 boots of web1 begin with 0a1b: ", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_a_crash_left_is_shown_and_damage_is_named()
    {
        _store.WriteKmsg(SampleStore.NewBoot, 0, "6,0,0,-;good\ngarbage\n6,1,5,-;also good\n6,2,6,-;torn by a power l");
        Assert.Equal("[    0.000000] good\n-- 8 bytes that are no record --\n[    0.000005] also good\n", (await _store.RunAsync("kmsg", "web1")).Output);
    }

    [Fact]
    public async Task Names_that_are_not_there_say_what_is()
    {
        _store.AddGuest("web3");
        Assert.Equal((ExitCode.NothingFound, "vsockpair: no guest web2; known: web1, web3\n"), await ExitAndError("kmsg", "web2"));
        Assert.Equal((ExitCode.NothingFound, "vsockpair: no guest ../web1; known: web1, web3\n"), await ExitAndError("kmsg", "../web1"));
        Assert.Equal(
            (ExitCode.NothingFound, $"vsockpair: no kernel log of boot {SampleStore.NewBoot} of web1 is stored; try the boot before it: -b -1\n"),
            await ExitAndError("kmsg", "web1"));
    }

    [Fact]
    public async Task Large_log_is_read_from_the_right_file_only()
    {
        // Unreadable as a log: it would show if it were read.
        _store.WriteKmsg(SampleStore.NewBoot, 0, "6,0,0,-;first\n" + new string('x', 1000) + "\n");
        for (int file = 1; file < 6; file++)
        {
            _store.WriteKmsg(SampleStore.NewBoot, (ulong)file * 1000, SampleStore.Records(file * 1000, 1000));
        }
        string output = (await _store.RunAsync("kmsg", "web1", "-S", "boot+5998")).Output;
        Assert.Equal("[ 5998.000000] record 5998\n[ 5999.000000] record 5999\n", output);
    }

    [Fact]
    public async Task Follow_goes_on_over_writes_rotation_and_a_new_boot()
    {
        Directory.Delete(_store.BootFolder(SampleStore.NewBoot), recursive: true);
        _store.WriteKmsg(SampleStore.OldBoot, 0, SampleStore.Records(0, 2));
        using CancellationTokenSource stop = new(TimeSpan.FromSeconds(30));
        SharedWriter output = new();
        CommandContext context = new(_store.Root, output, TextWriter.Null, TimeProvider.System);
        Task<int> follow = Task.Run(() => KmsgCommand.Run(context, new KmsgRequest("web1", new Selection(null, null, null), Follow: true, Json: false), stop.Token));
        await output.WaitForAsync("record 1\n", stop.Token);
        // Half a record must not be shown, nor the rest of it lost.
        _store.WriteKmsg(SampleStore.OldBoot, 0, "6,2,2000000,-;rec");
        _store.WriteKmsg(SampleStore.OldBoot, 0, "ord 2\n");
        await output.WaitForAsync("record 2\n", stop.Token);
        _store.WriteKmsg(SampleStore.OldBoot, 3, SampleStore.Records(3, 1));
        await output.WaitForAsync("record 3\n", stop.Token);
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon);
        _store.WriteKmsg(SampleStore.NewBoot, 0, "6,0,0,-;new life\n");
        await output.WaitForAsync("new life\n", stop.Token);
        await stop.CancelAsync();
        Assert.Equal(ExitCode.Done, await follow);
        string[] lines = output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(["record 0", "record 1", "record 2", "record 3", "new life"], lines.Where(l => l[0] == '[').Select(l => l[15..]));
        Assert.Equal(2, lines.Count(l => l.StartsWith("-- boot ", StringComparison.Ordinal)));
        Assert.DoesNotContain(lines, l => l.Contains("lost", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Follow_and_until_do_not_go_together() => Assert.Equal(ExitCode.Usage, (await ExitAndError("kmsg", "web1", "-f", "-U", "-1m")).ExitCode);

    [Fact]
    public void Colours_are_by_level_and_the_only_escapes()
    {
        _store.WriteKmsg(SampleStore.NewBoot, 0, "3,0,1,-;an \\x1b[2J error\\x0aof two\\x1b]0;t\u009b lines\n4,1,2,-;warning \u001b[31m\n6,2,3,-;plain\n1,3,4,-;alert\n");
        StringWriter output = new() { NewLine = "\n" };
        CommandContext context = new(_store.Root, output, TextWriter.Null, TimeProvider.System) { HasColours = true };
        KmsgRequest request = new("web1", new Selection(null, null, null), Follow: false, Json: false);
        Assert.Equal(ExitCode.Done, KmsgCommand.Run(context, request, CancellationToken.None));
        Assert.Equal(
            "\u001b[32m[    0.000001]\u001b[0m \u001b[31man \\x1b[2J error\u001b[0m\n               \u001b[31mof two\\x1b]0;t\\x9b lines\u001b[0m\n"
            + "\u001b[32m[    0.000002]\u001b[0m \u001b[33mwarning \\x1b[31m\u001b[0m\n"
            + "\u001b[32m[    0.000003]\u001b[0m plain\n\u001b[32m[    0.000004]\u001b[0m \u001b[7;31malert\u001b[0m\n",
            output.ToString());
        output.GetStringBuilder().Clear();
        KmsgCommand.Run(context, request with { Json = true }, CancellationToken.None);
        Assert.DoesNotContain('\u001b', output.ToString());
    }

    [Theory]
    [InlineData(false, "xterm-256color", null, true)]
    [InlineData(false, "xterm-256color", "", true)]
    [InlineData(false, "xterm-256color", "1", false)]
    [InlineData(false, "dumb", null, false)]
    [InlineData(false, null, null, false)]
    [InlineData(true, "xterm-256color", null, false)]
    public void Colours_are_for_a_terminal_that_has_them(bool isRedirected, string? term, string? noColor, bool areWanted) =>
        Assert.Equal(areWanted, TerminalColours.AreWanted(isRedirected, name => name == "TERM" ? term : name == "NO_COLOR" ? noColor : null));

    private async Task<(int ExitCode, string Error)> ExitAndError(params string[] args)
    {
        (int exitCode, _, string error) = await _store.RunAsync(args);
        return (exitCode, error);
    }

    private static IEnumerable<string> Texts(string output) => output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(l => l[0] == '[').Select(l => l[15..]);

    /// <summary>Text that one thread writes and another looks at.</summary>
    private sealed class SharedWriter : TextWriter
    {
        private readonly StringBuilder _text = new();

        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value)
        {
            lock (_text)
            {
                _text.Append(value);
            }
        }

        public override string ToString()
        {
            lock (_text)
            {
                return _text.ToString();
            }
        }

        public async Task WaitForAsync(string end, CancellationToken stop)
        {
            while (!ToString().EndsWith(end, StringComparison.Ordinal))
            {
                await Task.Delay(20, stop);
            }
        }
    }
}
