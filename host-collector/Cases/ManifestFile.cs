using System.Text.Json;
using VsockPair.Storage;

namespace VsockPair.Cases;

/// <summary>
/// <c>manifest.json</c>, which comes last, and has its room on the disk before anything else: a case whose parts do not fit must still say so.
/// </summary>
internal sealed class ManifestFile : IDisposable
{
    private readonly string _folder;
    private readonly int _reserve;
    private CaseFile _file;

    public ManifestFile(string folder, int reserve)
    {
        _folder = folder;
        _reserve = reserve;
        _file = Reserve();
    }

    /// <summary>May be done again, when more is known.</summary>
    public void Publish(CaseManifest manifest)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(manifest, CaseJson.Default.CaseManifest);
        _file.Stream.Position = 0;
        _file.Stream.Write(json);
        _file.Stream.SetLength(json.Length);
        _file.Publish(PartContent.FromHost, complete: true, manifest.Closed ?? manifest.Time);
        DurableFile.SyncFolder(_folder);
        _file.Dispose();
        _file = Reserve();
    }

    public void Dispose() => _file.Dispose();

    private CaseFile Reserve()
    {
        CaseFile file = CaseFile.Create(_folder, CasePaths.ManifestName);
        try
        {
            // Real blocks: a sparse file would reserve nothing.
            file.Stream.Write(new byte[_reserve]);
            file.Stream.Flush();
        }
        catch (IOException e) when (DiskReserve.IsFull(e))
        {
            // Parts that fail may leave enough room.
        }
        return file;
    }
}
