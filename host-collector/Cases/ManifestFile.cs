using System.Text.Json;
using VsockPair.Storage;

namespace VsockPair.Cases;

/// <summary>
/// <c>manifest.json</c>, which comes last, and has its room on the disk before anything else: a case whose parts do not fit must still say so.
/// </summary>
internal sealed class ManifestFile : IDisposable
{
    private readonly CaseFile _file;
    private readonly string _folder;

    public ManifestFile(string folder, int reserve)
    {
        _folder = folder;
        _file = CaseFile.Create(folder, CasePaths.ManifestName);
        try
        {
            // Real blocks: a sparse file would reserve nothing.
            _file.Stream.Write(new byte[reserve]);
            _file.Stream.Flush();
        }
        catch (IOException e) when (DiskReserve.IsFull(e))
        {
            // Parts that fail may leave enough room.
        }
    }

    public void Publish(CaseManifest manifest)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(manifest, CaseJson.Default.CaseManifest);
        _file.Stream.Position = 0;
        _file.Stream.Write(json);
        _file.Stream.SetLength(json.Length);
        _file.Publish(PartContent.FromHost, complete: true, manifest.Closed ?? manifest.Time);
        DurableFile.SyncFolder(_folder);
    }

    public void Dispose() => _file.Dispose();
}
