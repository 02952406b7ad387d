using System.Formats.Tar;
using VsockPair.Export;

namespace VsockPair.Cases;

/// <summary>
/// A case as one compressed tar file: the same bytes for the same case, whoever makes it and when. Only what the manifest lists is in it, so nothing that is being written; and a
/// part that is no longer what the manifest says is named.
/// </summary>
internal static class CaseArchive
{
    /// <param name="withMemory">The memory of a guest holds its secrets.</param>
    /// <returns>Parts that are not what the manifest says.</returns>
    public static IReadOnlyList<string> Write(StoredCase stored, bool withMemory, Stream target, ProgressBar progress, CancellationToken stop)
    {
        CasePart[] parts = [.. stored.Manifest!.Parts.Where(p => CasePaths.IsPart(p.Path) && (withMemory || p.Path != CasePaths.Vmcore)).OrderBy(p => p.Path, StringComparer.Ordinal)];
        long all = parts.Sum(p => p.Bytes);
        long done = 0;
        long written = 0;
        List<string> changed = [];
        using ZstdStream compressed = new(target);
        using (TarWriter tar = new(compressed, TarEntryFormat.Pax, leaveOpen: true))
        {
            AddFile(CasePaths.ManifestName, stored.Manifest.Closed ?? stored.Manifest.Time);
            AddFile(CasePaths.EventName, stored.Event.Time);
            foreach (CasePart part in parts)
            {
                if (AddFile(part.Path, part.Time) != part.Sha256)
                {
                    changed.Add(part.Path);
                }
            }

            string AddFile(string name, DateTimeOffset time)
            {
                using FileStream file = CaseFile.OpenForReading(stored.Folder, name);
                using HashingStream hashing = new(file, bytes =>
                {
                    stop.ThrowIfCancellationRequested();
                    done += bytes;
                    written = target.CanSeek ? target.Position : written;
                    progress.Show(all == 0 ? 1 : (double)done / all, written);
                });
                tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, $"{stored.Id}/{name}")
                {
                    Mode = CaseFile.Mode, ModificationTime = time, DataStream = hashing,
                });
                return hashing.Hash();
            }
        }
        compressed.End();
        return changed;
    }
}
