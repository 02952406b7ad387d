using System.Security.Cryptography;
using System.Text;
using VsockPair.Cases;
using VsockPair.Storage;

namespace VsockPair.Functional.Tests.Cases;

/// <summary>A store of one guest that panicked and came back, with the case to be assembled.</summary>
internal sealed class CaseStore : IDisposable
{
    public const string BuildId = "0123456789abcdef0123456789abcdef01234567";

    private const string Guest = "web1";

    private static readonly DateTimeOffset Started = new(2026, 1, 31, 12, 0, 0, TimeSpan.Zero);
    private static readonly Guid Dead = Guid.Parse("0a1b2c3d-0000-0000-0000-000000000001");
    private static readonly Guid Next = Guid.Parse("0a1b2c3d-0000-0000-0000-000000000002");

    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("vp");

    /// <param name="records">Of the dead boot's log.</param>
    public CaseStore(int records = 100)
    {
        AddBoot(Dead, Started);
        AddBoot(Next, Started.AddMinutes(2));
        StringBuilder log = new();
        for (int i = 0; i < records; i++)
        {
            log.Append(System.Globalization.CultureInfo.InvariantCulture, $"6,{i},{i}00000,-;record {i} {new string('x', 100)}\n");
        }
        WriteTo(Dead, StorePaths.Kmsg, StorePaths.KmsgName(0), Encoding.ASCII.GetBytes(log.ToString()));
        byte[] record = Encoding.ASCII.GetBytes("Panic#1 Part1\n<0>[99999.000000] Kernel panic - not syncing: test\n");
        WriteTo(Next, StorePaths.Pstore, $"dmesg-ramoops-0-{IncomingFile.ShortHash(SHA256.HashData(record))}", record);
        Event = new CaseEvent
        {
            Id = Id, Guest = Guest, Kind = CaseKinds.Panic, Time = Started.AddMinutes(1), Source = "store", Boot = Dead.ToString(),
            Memory = new CaseMemory("none", MemoryTaken.None, null, null, 0),
        };
        Directory.CreateDirectory(Case);
        WriteEvent(Event);
    }

    public string Folder => _root.FullName;

    public string Id { get; } = CasePaths.Id(Started.AddMinutes(1), Guest, 0);

    public string Case => CasePaths.Folder(Folder, Id);

    public CaseEvent Event { get; private set; }

    public CaseManifest? Manifest => DurableFile.TryRead(CasePaths.Manifest(Case), CaseJson.Default.CaseManifest);

    public void WriteEvent(CaseEvent happened)
    {
        Event = happened;
        DurableFile.ReplaceSynced(CasePaths.Event(Case), happened, CaseJson.Default.CaseEvent);
    }

    /// <summary>Every part that the manifest names, if there is one, is what it says.</summary>
    public void AssertConsistent()
    {
        foreach (CasePart part in Manifest?.Parts ?? [])
        {
            Assert.Equal(part.Sha256, Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(Path.Combine(Case, part.Path)))));
        }
    }

    public void Dispose() => _root.Delete(recursive: true);

    private void AddBoot(Guid id, DateTimeOffset started)
    {
        string folder = BootOf(id);
        Directory.CreateDirectory(folder);
        BootRecord record = new()
        {
            BootId = id, Kernel = "6.12.0-amd64", BuildId = BuildId, Clock = "boot", SubBufferBytes = 4096, Cpus = 1, AgentVersion = "0.1.0", Session = Guid.NewGuid(), Started = started,
        };
        DurableFile.Replace(StorePaths.BootRecord(folder), record, StoreJson.Default.BootRecord);
    }

    private string BootOf(Guid id) => StorePaths.Boot(StorePaths.Guest(Folder, Guest), id, 0);

    private void WriteTo(Guid boot, Func<string, string> folderOf, string name, byte[] content)
    {
        string folder = folderOf(BootOf(boot));
        Directory.CreateDirectory(folder);
        File.WriteAllBytes(Path.Combine(folder, name), content);
    }
}
