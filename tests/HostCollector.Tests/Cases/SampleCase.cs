using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using VsockPair.Cases;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.HostCollector.Tests.Export;
using VsockPair.Options;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Cases;

/// <summary>A guest that panicked in its old boot and came back, as <c>watch</c> and <c>serve</c> leave it: the case is to be assembled.</summary>
internal sealed class SampleCase : IDisposable
{
    public const string BuildId = "0123456789abcdef0123456789abcdef01234567";
    public const string Record = "dmesg-ramoops-0";

    /// <summary>60 s of the old boot's clock: its log's clock stands 1 s behind.</summary>
    public static readonly DateTimeOffset Crash = SampleStore.Noon.AddHours(-1).AddSeconds(60);

    public SampleCase()
    {
        Store = SampleStore.WithTwoBoots();
        Change(SampleStore.OldBoot, b => b with { BuildId = BuildId, Ended = Crash.AddMinutes(1), EndReason = "superseded" });
        Trace = new SampleTrace(Store, SampleStore.OldBoot);
        Trace.WriteMetadata();
        Event = new CaseEvent
        {
            Id = CasePaths.Id(Crash, "web1", 0), Guest = "web1", Kind = CaseKinds.Panic, Time = Crash, Source = "qmp:/run/vms/web1/qmp.sock", Boot = SampleStore.OldBoot,
            Memory = new CaseMemory("none", MemoryTaken.None, null, null, 0), Action = "continue", Released = Crash.AddSeconds(1),
        };
        WriteEvent(Event);
    }

    public SampleStore Store { get; }

    public SampleTrace Trace { get; }

    public CaseEvent Event { get; private set; }

    public string Id => Event.Id;

    public string Folder => CasePaths.Folder(Store.Root, Id);

    public CaseManifest Manifest => DurableFile.TryRead(CasePaths.Manifest(Folder), CaseJson.Default.CaseManifest)!;

    /// <summary>With a log, a trace on two vCPUs and a crash record.</summary>
    public static SampleCase WithAll()
    {
        SampleCase sample = new();
        sample.Store.WriteKmsg(SampleStore.OldBoot, 0, SampleStore.Records(0, 50));
        for (int vcpu = 0; vcpu < 2; vcpu++)
        {
            sample.Trace.WriteSegment(vcpu, 55_000_000_000, SampleTrace.SubBufferOf(55_000_000_000, 0, 100), SampleTrace.SubBufferOf(59_000_000_000, 100, 100));
        }
        sample.WritePstore(SampleStore.NewBoot, Record, "Panic#1 Part1\n<6>[   49.000000] record 49\n<0>[   59.123456] Kernel panic - not syncing: sysrq triggered crash\n<4>[   59.123460] CPU: 0 PID: 1\n");
        return sample;
    }

    public void WriteEvent(CaseEvent happened)
    {
        Event = happened;
        Directory.CreateDirectory(Folder);
        DurableFile.ReplaceSynced(CasePaths.Event(Folder), happened, CaseJson.Default.CaseEvent);
    }

    /// <returns>Its name in the store.</returns>
    public string WritePstore(string boot, string name, string content)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(content);
        string folder = StorePaths.Pstore(Store.BootFolder(boot));
        Directory.CreateDirectory(folder);
        string stored = $"{name}-{IncomingFile.ShortHash(SHA256.HashData(bytes))}";
        File.WriteAllBytes(Path.Combine(folder, stored), bytes);
        return stored;
    }

    public void Change(string boot, Func<BootRecord, BootRecord> change)
    {
        string path = StorePaths.BootRecord(Store.BootFolder(boot));
        File.WriteAllText(path, JsonSerializer.Serialize(change(JsonSerializer.Deserialize(File.ReadAllText(path), StoreJson.Default.BootRecord)!), StoreJson.Default.BootRecord));
    }

    public CaseManifest Assemble(bool final = false, CaseLimits? limits = null, Action<string>? reached = null)
    {
        CaseSource source = new(Store.Root, Folder, Event, limits ?? new CaseLimits(), TimeProvider.System, TextWriter.Null);
        return CaseAssembly.Run(source, final, new VmlinuxSearch(Store.Root, new WatchOptions(), Store.Root), reached);
    }

    public string Text(string part) => File.ReadAllText(Path.Combine(Folder, part));

    public string Reason(string part) => Manifest.Missing.Single(m => m.Part == part).Reason;

    /// <summary>Every part is there, whole, and what the manifest says; nothing unfinished is.</summary>
    public void AssertConsistent()
    {
        Assert.Empty(Directory.GetFiles(Folder, "*" + CasePaths.PartialSuffix, SearchOption.AllDirectories));
        foreach (CasePart part in Manifest.Parts)
        {
            byte[] bytes = File.ReadAllBytes(Path.Combine(Folder, part.Path));
            Assert.Equal((part.Bytes, part.Sha256), (bytes.LongLength, Convert.ToHexStringLower(SHA256.HashData(bytes))));
            Assert.Equal(part.Complete, Manifest.Missing.All(m => m.Part != part.Path));
        }
    }

    public void Dispose() => Store.Dispose();
}
