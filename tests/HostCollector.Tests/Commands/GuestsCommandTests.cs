using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using VsockPair.Commands;
using VsockPair.HostCollector.Tests.Clocks;
using VsockPair.Status;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Commands;

public sealed class GuestsCommandTests : IDisposable
{
    private readonly SampleStore _store = new();

    public void Dispose() => _store.Dispose();

    [Fact]
    public async Task List_comes_from_files_alone_and_says_so()
    {
        FillOneGuest();
        (int exitCode, string output, string error) = await _store.RunAsync("guests");
        Assert.Equal((ExitCode.Done, ""), (exitCode, error));
        string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.StartsWith("NAME  IDENTIFIED BY  SEEN", lines[0], StringComparison.Ordinal);
        Assert.StartsWith("web1  map, CID 42    ", lines[1], StringComparison.Ordinal);
        Assert.Contains("6.12.0-amd64", lines[1], StringComparison.Ordinal);
        Assert.Contains("ring 1,500 events; transport at least 3 events", lines[1], StringComparison.Ordinal);
        Assert.Contains("no pstore \\x1b[2J (+1 more)", lines[1], StringComparison.Ordinal);
        Assert.Equal("vsockpair serve is not running: figures are from the files alone.", lines[2]);
    }

    [Fact]
    public async Task No_arguments_show_the_list()
    {
        FillOneGuest();
        Assert.Equal((await _store.RunAsync("guests")).Output, (await _store.RunAsync()).Output);
    }

    [Fact]
    public async Task Json_list_counts_blocks_not_sizes()
    {
        FillOneGuest();
        using (FileStream sparse = File.Create(Path.Combine(_store.BootFolder(SampleStore.NewBoot), "sparse")))
        {
            sparse.SetLength(1L << 30);
        }
        JsonElement guest = Assert.Single(JsonDocument.Parse((await _store.RunAsync("guests", "--json")).Output).RootElement.EnumerateArray().ToArray());
        Assert.Equal("web1", guest.GetProperty("name").GetString());
        Assert.False(guest.GetProperty("serve_running").GetBoolean());
        Assert.InRange(guest.GetProperty("stored_bytes").GetInt64(), 1, 1 << 20);
        Assert.Equal(4, guest.GetProperty("vcpus").GetInt32());
        Assert.Equal(1500, guest.GetProperty("losses")[0].GetProperty("events").GetInt64());
    }

    [Fact]
    public async Task Detail_tells_how_well_the_clocks_are_known_and_when_they_jumped()
    {
        FillOneGuest();
        ClockWorld world = new(1) { Drift = -12e-6 };
        world.Record(30);
        world.Pause(60 * ClockWorld.Second);
        world.Run(ClockWorld.Second);
        world.Sample();
        world.Record(5);
        File.WriteAllLines(
            StorePaths.Clock(_store.BootFolder(SampleStore.NewBoot)),
            world.Samples.Select(s => JsonSerializer.Serialize(s with { GuestRealTime = s.HostRealTime - 90 * ClockWorld.Second }, StoreJson.Default.ClockSample)));
        string detail = (await _store.RunAsync("guests", "web1")).Output;
        Assert.Matches(@"clock +trace ±[1-9]\d\d µs, kernel log ±[1-9]\d\d µs, 36 samples, the last ", detail);
        Assert.Matches(@"runs 1\d\.\d ppm slower than the host's; the guest's own date is 90 s behind", detail);
        Assert.Contains("1 jump ", detail, StringComparison.Ordinal);
        Assert.Matches(@"2025-\S+Z  host time jumped ahead by 60(\.\d)? s", detail);
        JsonElement clock = JsonDocument.Parse((await _store.RunAsync("guests", "web1", "--json")).Output).RootElement.GetProperty("clock");
        Assert.InRange(clock.GetProperty("error_ns").GetInt64(), 1, ClockWorld.Millisecond);
        Assert.InRange(clock.GetProperty("last_jumps")[0].GetProperty("ahead_ns").GetInt64(), 59_999_000_000, 60_001_000_000);
    }

    [Fact]
    public async Task Running_collector_adds_live_figures()
    {
        FillOneGuest();
        CollectorStatus status = new()
        {
            Version = "0.1.0",
            ProcessId = 1,
            Started = SampleStore.Noon,
            Listening = ["vsock::829"],
            DiskFull = true,
            Violations = 0,
            Guests =
            [
                new GuestStatus
                {
                    Name = "web1",
                    IdentifiedBy = "identity",
                    Cid = 43,
                    Connections = 6,
                    Violations = new Dictionary<string, long> { ["bad frame"] = 2 },
                    OverBudget = true,
                    Boots =
                    [
                        new BootStatus
                        {
                            Boot = SampleStore.NewBoot, Kernel = "6.12.0-amd64", AgentVersion = "0.1.0", ConnectedSince = DateTimeOffset.UtcNow.AddHours(-2),
                            KmsgNextSequence = 5, KmsgConnected = true,
                            Streams =
                            [
                                Stream("cpu0", 1 << 20),
                                Stream("cpu1", 1 << 19),
                            ],
                        },
                    ],
                },
            ],
        };
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(StorePaths.ControlSocket(_store.Root)));
        listener.Listen();
        Task<string> server = AnswerAsync(listener, status, times: 2);
        (int exitCode, string list, _) = await _store.RunAsync("guests");
        Assert.Equal(ExitCode.Done, exitCode);
        Assert.Contains("connected for 2h", list, StringComparison.Ordinal);
        Assert.Contains("identity, CID 43", list, StringComparison.Ordinal);
        Assert.Contains("1.5 MiB/s", list, StringComparison.Ordinal);
        Assert.Contains("The disk is full", list, StringComparison.Ordinal);
        Assert.DoesNotContain("not running", list, StringComparison.Ordinal);
        string detail = (await _store.RunAsync("guests", "web1")).Output;
        Assert.Matches("cpu1 +yes +512 KiB/s +250 +1,000 +10 +1\n", detail);
        Assert.Contains("bad frame: 2", detail, StringComparison.Ordinal);
        Assert.Contains("over budget", detail, StringComparison.Ordinal);
        Assert.Equal("{\"command\":\"status\"}\n", await server);
    }

    [Fact]
    public async Task Rates_and_history_come_from_sidecars_alone()
    {
        FillOneGuest();
        string folder = StorePaths.Vcpu(_store.BootFolder(SampleStore.NewBoot), 0);
        Directory.CreateDirectory(folder);
        DateTime now = DateTime.UtcNow;
        // Three hours, 1 MiB each, the first two of them compressed to 64 KiB; the trace clock began 10 s before.
        for (int i = 0; i < 3; i++)
        {
            ulong first = (ulong)(10 + i * 3600) * 1_000_000_000;
            string segment = Path.Combine(folder, StorePaths.SegmentName(first, 65536));
            SegmentSummary sum = new() { Sha256 = "", Slots = 16, Events = 1, First = first, Last = first + 3_600_000_000_000, Bytes = 1 << 20 };
            File.WriteAllText(SegmentSum.PathOf(segment), JsonSerializer.Serialize(sum, StoreJson.Default.SegmentSummary));
            string file = i < 2 ? SegmentForms.CompressedPath(segment) : segment;
            File.WriteAllBytes(file, new byte[64 << 10]);
            File.SetLastWriteTimeUtc(file, now.AddHours(i - 2));
        }
        JsonElement guest = JsonDocument.Parse((await _store.RunAsync("guests", "web1", "--json")).Output).RootElement;
        Assert.Equal(24 << 20, guest.GetProperty("bytes_per_day").GetDouble(), 1.0);
        Assert.Equal((24 << 20) / 16.0, guest.GetProperty("stored_bytes_per_day").GetDouble(), 1.0);
        Assert.InRange(guest.GetProperty("history_seconds").GetDouble(), 3 * 3600, 3 * 3600 + 60);
        string detail = (await _store.RunAsync("guests", "web1")).Output;
        Assert.Contains("24 MiB, compressed to 1.5 MiB\n", detail, StringComparison.Ordinal);
        Assert.Matches("history held +3h", detail);
        Assert.Matches("COMPRESSED +STORED +HELD(.|\n)* 24 MiB +1.5 MiB .* 3h ", (await _store.RunAsync("guests")).Output);
    }

    [Fact]
    public async Task History_held_ends_with_the_newest_trace_however_long_ago_that_was()
    {
        FillOneGuest();
        string folder = StorePaths.Vcpu(_store.BootFolder(SampleStore.NewBoot), 0);
        Directory.CreateDirectory(folder);
        string segment = Path.Combine(folder, StorePaths.SegmentName(1_000_000_000, 65536));
        SegmentSummary sum = new() { Sha256 = "", Slots = 1, Events = 1, First = 1_000_000_000, Last = 25_000_000_000, Bytes = 65536 };
        await File.WriteAllTextAsync(SegmentSum.PathOf(segment), JsonSerializer.Serialize(sum, StoreJson.Default.SegmentSummary));
        await File.WriteAllBytesAsync(segment, new byte[65536]);
        File.SetLastWriteTimeUtc(segment, new DateTime(2026, 1, 31, 13, 0, 0, DateTimeKind.Utc));
        JsonElement guest = JsonDocument.Parse((await _store.RunAsync("guests", "web1", "--json")).Output).RootElement;
        Assert.Equal(24, guest.GetProperty("history_seconds").GetDouble(), 0.001);
        Assert.Equal("2026-01-31T13:00:00.000000000Z", guest.GetProperty("history_until").GetString());
        Assert.Matches("history held +24s, until 2026-01-31T13:00:00.000000000Z\n", (await _store.RunAsync("guests", "web1")).Output);
    }

    [Fact]
    public async Task Socket_of_a_killed_collector_is_no_collector()
    {
        FillOneGuest();
        using (Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            listener.Bind(new UnixDomainSocketEndPoint(StorePaths.ControlSocket(_store.Root)));
            // .NET unlinks what it bound; a killed process does not.
            File.Move(StorePaths.ControlSocket(_store.Root), StorePaths.ControlSocket(_store.Root) + "x");
        }
        File.Move(StorePaths.ControlSocket(_store.Root) + "x", StorePaths.ControlSocket(_store.Root));
        Assert.Contains("vsockpair serve is not running: figures are from the files alone.", (await _store.RunAsync("guests")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Detail_lists_the_boots()
    {
        FillOneGuest();
        string output = (await _store.RunAsync("guests", "web1")).Output;
        Assert.Matches($"BOOT +FIRST SEEN +ENDED +KERNEL\n{SampleStore.OldBoot}  2026-01-31T11:00:00.000000000Z  -      6.1.0\n{SampleStore.NewBoot}", output);
        Assert.Contains("note            and \\u{202e}more", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_found_is_told_with_what_to_do()
    {
        (int exitCode, string output, string error) = await _store.RunAsync("guests", "--json");
        Assert.Equal((ExitCode.NothingFound, "[]\n", $"vsockpair: no guest has connected yet (store {_store.Root})\n"), (exitCode, output, error));
        using SampleStore other = new();
        Directory.Delete(other.Root);
        (exitCode, _, error) = await other.RunAsync("guests");
        Directory.CreateDirectory(other.Root);
        Assert.Equal((ExitCode.NothingFound, $"vsockpair: no store at {other.Root}; name it with --store, or start vsockpair serve\n"), (exitCode, error));
    }

    [Fact]
    public async Task Broken_records_do_not_hide_a_guest()
    {
        FillOneGuest();
        File.WriteAllText(StorePaths.GuestRecord(_store.Guest), "{\"name\":");
        File.WriteAllText(StorePaths.BootRecord(_store.BootFolder(SampleStore.NewBoot)), "");
        Directory.CreateDirectory(Path.Combine(StorePaths.Boots(_store.Guest), "lost+found"));
        (int exitCode, string output, _) = await _store.RunAsync("guests");
        Assert.Equal(ExitCode.Done, exitCode);
        Assert.Contains("web1", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ExitCode.Usage, "vsockpair: ", "frobnicate")]
    [InlineData(ExitCode.Usage, "vsockpair: ", "kmsg")]
    [InlineData(ExitCode.Usage, "vsockpair: there is no option --colour", "guests", "--colour")]
    [InlineData(ExitCode.Usage, "vsockpair: there is no option --colour", "kmsg", "--colour")]
    [InlineData(ExitCode.Usage, "vsockpair: --listen \"tcp:1\" is no place to listen on; write vsock::829", "serve", "--listen", "tcp:1")]
    [InlineData(ExitCode.BadConfiguration, "/nonexistent.conf: there is no such file", "serve", "--config", "/nonexistent.conf")]
    [InlineData(ExitCode.BadConfiguration, "/nonexistent.conf: there is no such file", "guests", "--config", "/nonexistent.conf")]
    public async Task Wrong_command_lines_end_with_their_code_and_a_reason(int expected, string start, params string[] args)
    {
        (int exitCode, string output, string error) = await _store.RunAsync(args);
        Assert.Equal((expected, ""), (exitCode, output));
        Assert.StartsWith(start, error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Version_is_told()
    {
        (int exitCode, string output, _) = await _store.RunAsync("--version");
        Assert.Equal(ExitCode.Done, exitCode);
        Assert.Matches("^vsockpair [0-9]+\\.[0-9]+\\.[0-9]+\n$", output);
    }

    private static StreamStatus Stream(string name, double rate) => new()
    {
        Stream = name, Connected = true, BytesPerSecond = rate, EventsPerSecond = 250, StoredEvents = 1000, RingLostEvents = 10, TransportLostEvents = 1,
    };

    private static async Task<string> AnswerAsync(Socket listener, CollectorStatus status, int times)
    {
        string request = "";
        for (int i = 0; i < times; i++)
        {
            using Socket client = await listener.AcceptAsync();
            byte[] buffer = new byte[256];
            request = Encoding.UTF8.GetString(buffer, 0, await client.ReceiveAsync(buffer));
            await client.SendAsync(JsonSerializer.SerializeToUtf8Bytes(status, ControlJson.Default.CollectorStatus).Append((byte)'\n').ToArray());
        }
        return request;
    }

    private void FillOneGuest()
    {
        _store.AddGuest("web1", ["no pstore \u001b[2J", "and \u202emore"]);
        _store.AddBoot(SampleStore.OldBoot, SampleStore.Noon.AddHours(-1), kernel: "6.1.0");
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon);
        SampleStore.AddLosses(
            _store.BootFolder(SampleStore.NewBoot),
            new LossRecord { Time = SampleStore.Noon, Source = "ring", Stream = "cpu0", Events = 1000 },
            new LossRecord { Time = SampleStore.Noon, Source = "transport", Stream = "cpu1", Events = 3 },
            new LossRecord { Time = SampleStore.Noon, Source = "transport", Stream = "cpu1" },
            new LossRecord { Time = SampleStore.Noon.AddSeconds(1), Source = "ring", Stream = "cpu3", Events = 500 });
    }
}
