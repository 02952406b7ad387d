using VsockPair.GuestAgent.Files;
using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Pstore;

/// <summary>
/// Crash records that survived the last reboot, and the logs that kdump has saved. All places are looked through at each session's start and again in its course: systemd-pstore moves
/// records from one to the other at any time, and the collector knows what it has already by its hash.
/// </summary>
internal sealed class PstoreRecords(GuestPaths paths, bool removeAcknowledged)
{
    private readonly HashSet<string> _offered = [];

    public static void NoteMissing(GuestPaths paths, GuestNotes notes)
    {
        if (!Array.Exists(paths.Pstore, Directory.Exists))
        {
            notes.Add($"no {paths.Pstore[0]}: crash records of this guest cannot survive a reboot");
        }
    }

    /// <summary>Everything, for the start of a session.</summary>
    public void OfferAll(FileOffers offers)
    {
        _offered.Clear();
        OfferNew(offers);
    }

    /// <summary>What was not offered in this session, as it is now.</summary>
    public void OfferNew(FileOffers offers)
    {
        foreach (OfferedFile file in Find())
        {
            if (_offered.Add(file.HashKey!))
            {
                offers.Add(file);
            }
        }
    }

    /// <summary>Unlinking a record erases its zone: only when the guest's operator asked for it, and the collector has it.</summary>
    public void Acknowledged(OfferedFile file)
    {
        if (!removeAcknowledged || file.Kind != OfferedKind.Pstore || KdumpLogs.IsOne(paths, file.Path!))
        {
            return;
        }
        try
        {
            // Another record may have taken its name meanwhile.
            if (Describe(file.Path!, file.Name, out _).HashKey != file.HashKey)
            {
                AgentLog.Warning($"{file.Path} has changed since it was sent and is not removed");
                return;
            }
            File.Delete(file.Path!);
            AgentLog.Info($"{file.Path} is stored on the host and was removed here");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            AgentLog.Warning($"{file.Path} cannot be removed, ignoring: {e.Message}");
        }
    }

    internal IReadOnlyList<OfferedFile> Find()
    {
        List<OfferedFile> found = [];
        foreach (string folder in Array.FindAll(paths.Pstore, Directory.Exists))
        {
            string[] files = ListFiles(folder);
            Array.Sort(files, StringComparer.Ordinal);
            foreach (string path in files)
            {
                try
                {
                    found.Add(Describe(path, Path.GetFileName(path), out _));
                }
                catch (LinuxException e)
                {
                    // Moved by systemd-pstore since the folder was listed: then it is found where it is now.
                    AgentLog.Warning($"{path} cannot be read, ignoring: {e.Message}");
                }
            }
        }
        found.AddRange(KdumpLogs.Newest(paths));
        return found;
    }

    private static string[] ListFiles(string folder)
    {
        try
        {
            return Directory.GetFiles(folder, "*", SearchOption.AllDirectories);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            AgentLog.Warning($"{folder} cannot be read, ignoring: {e.Message}");
            return [];
        }
    }

    /// <exception cref="LinuxException">It is gone, or cannot be read.</exception>
    internal static OfferedFile Describe(string path, string name, out long bytes)
    {
        using Fd file = Fd.Own(Sys.Open(path, Constants.O_RDONLY), "open", path);
        LinuxException.Check(Sys.Status(file.Value, out bytes, out long modified), "fstat", path);
        return new OfferedFile(OfferedKind.Pstore, name, () => new FileSource(path))
        {
            Path = path,
            Modified = modified,
            HashKey = $"{path} {bytes} {modified}",
        };
    }
}
