using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using VsockPair.Storage;
using VsockPair.TestKit;
using VsockPair.TestKit.Store;
using VsockPair.Tracing;

namespace VsockPair.Functional.Tests.Collector;

/// <summary>A store in a folder of its own, read as an outsider would: files only, events counted anew from the slots.</summary>
public sealed class TestStore : IDisposable
{
    public const string GuestName = "web1";

    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("vp");

    public string Folder => Path.Combine(_root.FullName, "store");

    /// <summary>What <c>hybrid:PATH=web1</c> names; the collector listens on <see cref="Socket"/>.</summary>
    public string VmmSocket => Path.Combine(_root.FullName, "vm.sock");

    public string Socket => VmmSocket + "_829";

    public string Root => _root.FullName;

    public string Guest => StorePaths.Guest(Folder, GuestName);

    public string Boot(ScriptedGuest guest, int life = 0) => StorePaths.Boot(Guest, guest.BootId, life);

    public BootRecord BootRecord(ScriptedGuest guest, int life = 0) =>
        JsonSerializer.Deserialize(File.ReadAllBytes(StorePaths.BootRecord(Boot(guest, life))), StoreJson.Default.BootRecord)!;

    /// <summary>Ends the guest's session in good order. A collector that is stopped before it has read the last figures may leave them to the next Hello.</summary>
    public void Stop(ScriptedGuest guest, params ScriptedGuestRing[] rings)
    {
        guest.Stop(rings);
        Await(() => BootRecord(guest).EndReason == "goodbye", "the boot has ended");
    }

    public static IReadOnlyList<string> Segments(string boot, int vcpu) =>
        [.. StoredSegment.In(StorePaths.Vcpu(boot, vcpu)).Select(s => s.Path)];

    public static IReadOnlyList<LossRecord> Losses(string guestOrBoot)
    {
        string path = StorePaths.Losses(guestOrBoot);
        return File.Exists(path) ? [.. File.ReadAllLines(path).Select(line => JsonSerializer.Deserialize(line, StoreJson.Default.LossRecord)!)] : [];
    }

    public static long Lost(string boot, int vcpu, string source) =>
        Losses(boot).Where(l => l.Source == source && l.Stream == StorePaths.StreamName(vcpu)).Sum(l => l.Events ?? 0);

    /// <summary>Events that retention's ledger lines name for this stream.</summary>
    public long Removed(string boot, int vcpu) =>
        Losses(Guest).Where(l => l.Boot == Path.GetFileName(boot) && l.Stream == StorePaths.StreamName(vcpu)).Sum(l => l.Events ?? 0);

    /// <summary>Size of all segments, while retention may be removing some.</summary>
    public static long SegmentBytes(string boot, int vcpu)
    {
        long bytes = 0;
        foreach (string segment in Segments(boot, vcpu))
        {
            try
            {
                bytes += new FileInfo(segment).Length;
            }
            catch (FileNotFoundException)
            {
                continue;
            }
        }
        return bytes;
    }

    public static long StoredEvents(string boot, int vcpu) => Segments(boot, vcpu).Sum(CountEvents);

    /// <summary>Read = stored + removed + transport loss, and lost = ring loss, for a ring of one generation.</summary>
    public void AssertExact(string boot, ScriptedGuestRing ring)
    {
        long stored = StoredEvents(boot, ring.Cpu);
        long removed = Removed(boot, ring.Cpu);
        long transport = Lost(boot, ring.Cpu, "transport");
        Assert.True((long)ring.ReadEvents == stored + removed + transport, $"cpu{ring.Cpu}: read {ring.ReadEvents}, stored {stored}, removed {removed}, transport loss {transport}");
        Assert.Equal((long)ring.LostEvents, Lost(boot, ring.Cpu, "ring"));
    }

    /// <summary>Every file is closed, and its sidecar tells the truth.</summary>
    public static void AssertClosed(string boot)
    {
        foreach (string file in Directory.GetFiles(boot, "*.kmsg", SearchOption.AllDirectories))
        {
            SegmentSummary sum = JsonSerializer.Deserialize(File.ReadAllBytes(file + ".sum"), StoreJson.Default.SegmentSummary)!;
            Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(file))), sum.Sha256);
        }
        foreach (StoredSegment segment in AllSegments(boot))
        {
            segment.CheckSummary();
        }
    }

    /// <summary>Of every vCPU.</summary>
    public static IReadOnlyList<StoredSegment> AllSegments(string boot) => !Directory.Exists(StorePaths.Trace(boot)) ? [] :
        [.. Directory.GetDirectories(StorePaths.Trace(boot)).Order(StringComparer.Ordinal).SelectMany(StoredSegment.In)];

    public static string Kmsg(string boot) => Directory.Exists(StorePaths.Kmsg(boot))
        ? string.Concat(Directory.GetFiles(StorePaths.Kmsg(boot), "*.kmsg").Order(StringComparer.Ordinal).Select(f => File.ReadAllText(f, Encoding.UTF8)))
        : "";

    public static void Await(Func<bool> condition, string what, int seconds = 30)
    {
        DateTime end = DateTime.UtcNow.AddSeconds(seconds);
        while (!condition())
        {
            Assert.True(DateTime.UtcNow < end, $"Not within {seconds} s: {what}.");
            Thread.Sleep(20);
        }
    }

    public void Dispose() => _root.Delete(recursive: true);

    private static long CountEvents(string path)
    {
        StoredSegment segment = new(path);
        int size = segment.SubBufferBytes;
        byte[] bytes = segment.Read();
        Assert.Equal(0, bytes.Length % size);
        long events = 0;
        for (int at = 0; at < bytes.Length; at += size)
        {
            SubBuffer header = new(bytes.AsSpan(at));
            SubBufferEvents.TryCount(bytes.AsSpan(at + SubBuffer.HeaderBytes, Math.Min(header.DataBytes, size - SubBuffer.HeaderBytes)), out int count);
            events += count;
        }
        return events;
    }
}
