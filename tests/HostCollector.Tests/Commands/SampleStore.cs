using System.Text;
using System.Text.Json;
using VsockPair.Commands;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Commands;

/// <summary>A store in a temporary folder, written as the collector lays it out, and the program's answers about it.</summary>
internal sealed class SampleStore : IDisposable
{
    public const string OldBoot = "0a1b2c3d-0000-0000-0000-000000000001";
    public const string NewBoot = "0f1b2c3d-0000-0000-0000-000000000002";

    /// <summary>Host time at which the new boot's clocks stood at 100 s; the old boot's did so an hour earlier.</summary>
    public static readonly DateTimeOffset Noon = new(2026, 1, 31, 12, 0, 0, TimeSpan.Zero);

    /// <summary>Of a guest <c>web1</c>.</summary>
    public static SampleStore WithTwoBoots()
    {
        SampleStore store = new();
        store.AddGuest("web1");
        store.AddBoot(OldBoot, Noon.AddHours(-1));
        store.AddBoot(NewBoot, Noon);
        return store;
    }

    public string Root { get; } = Directory.CreateTempSubdirectory("vsockpair-store-").FullName;

    public string Guest => StorePaths.Guest(Root, "web1");

    public void Dispose() => Directory.Delete(Root, recursive: true);

    public void AddGuest(string name, IReadOnlyList<string>? notes = null)
    {
        string folder = StorePaths.Guest(Root, name);
        Directory.CreateDirectory(folder);
        GuestRecord record = new() { Name = name, IdentifiedBy = "map", Cid = 42, ClaimedNodeName = "node", ClaimedNotes = notes ?? [], FirstSeen = Noon, LastSeen = Noon.AddHours(1) };
        File.WriteAllText(StorePaths.GuestRecord(folder), JsonSerializer.Serialize(record, StoreJson.Default.GuestRecord));
    }

    public void AddBoot(string name, DateTimeOffset started, string kernel = "6.12.0-amd64", bool clock = true)
    {
        string folder = BootFolder(name);
        Directory.CreateDirectory(StorePaths.Kmsg(folder));
        BootRecord record = new()
        {
            BootId = Guid.Parse(name[..36]), Kernel = kernel, Clock = "boot", SubBufferBytes = 65536, Cpus = 4, AgentVersion = "0.1.0", Session = Guid.Empty, Started = started,
        };
        File.WriteAllText(StorePaths.BootRecord(folder), JsonSerializer.Serialize(record, StoreJson.Default.BootRecord));
        if (clock)
        {
            long host = (started.AddSeconds(100) - DateTimeOffset.UnixEpoch).Ticks * 100;
            // The log's clock stands 1 s behind the trace clock.
            ClockSample sample = new()
            {
                Time = started.AddSeconds(100), HostMonotonic = 1, HostRealTime = host, GuestBoot = 100_000_000_000, GuestRealTime = host, Error = 1000,
                GuestLocal = 99_000_000_000, GuestLocalAtBoot = 100_000_000_000, GuestLocalError = 1000,
            };
            File.WriteAllText(StorePaths.Clock(folder), JsonSerializer.Serialize(sample, StoreJson.Default.ClockSample) + "\n");
        }
    }

    public string BootFolder(string name) => Path.Combine(StorePaths.Boots(Guest), name);

    public void WriteKmsg(string boot, ulong first, string records) => WriteKmsg(boot, first, Encoding.Latin1.GetBytes(records));

    public void WriteKmsg(string boot, ulong first, ReadOnlySpan<byte> records)
    {
        using FileStream file = new(Path.Combine(StorePaths.Kmsg(BootFolder(boot)), StorePaths.KmsgName(first)), FileMode.Append);
        file.Write(records);
    }

    /// <summary>Plain records, one per second from <paramref name="first"/>: record 7 is stamped 7 s.</summary>
    public static string Records(int first, int count) =>
        string.Concat(Enumerable.Range(first, count).Select(i => $"6,{i},{i}000000,-;record {i}\n"));

    public static void AddLosses(string folder, params LossRecord[] losses) =>
        File.AppendAllLines(StorePaths.Losses(folder), losses.Select(l => JsonSerializer.Serialize(l, StoreJson.Default.LossRecord)));

    public async Task<(int ExitCode, string Output, string Error)> RunAsync(params string[] args)
    {
        StringWriter output = new() { NewLine = "\n" };
        StringWriter error = new() { NewLine = "\n" };
        int exitCode = await CommandRunner.RunAsync(Program.Commands(output, error), ["--store", Root, .. args], output, error, CancellationToken.None);
        return (exitCode, output.ToString(), error.ToString());
    }

    /// <summary>Exports the trace of web1.</summary>
    /// <returns>Where it is: the same file for each export of a format.</returns>
    public async Task<string> ExportAsync(string format, params string[] options)
    {
        string file = Path.Combine(Root, "out." + format);
        (int exitCode, _, string error) = await RunAsync(["export", "web1", "-o", file, .. options]);
        Assert.True(exitCode == 0, error);
        return file;
    }
}
