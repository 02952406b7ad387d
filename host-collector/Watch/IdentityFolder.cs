using VsockPair.Linux;
using VsockPair.Listening;
using VsockPair.Options;
using VsockPair.Storage;

namespace VsockPair.Watch;

/// <summary>
/// <c>identity/</c>: which guest has which CID, for <c>serve</c>. A file for each machine that is connected. A stop leaves them, for the machines go on and the next start
/// is a moment away; what that does not find again within <see cref="FirstLook"/> goes.
/// </summary>
internal sealed class IdentityFolder
{
    public static readonly TimeSpan FirstLook = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private readonly string _folder;
    private readonly CollectorOptions _options;
    private readonly HashSet<string> _published = new(StringComparer.Ordinal);

    public IdentityFolder(CollectorOptions options)
    {
        _options = options;
        _folder = StorePaths.Identity(options.StoreDirectory);
    }

    public void Publish(string guest, IMachine machine, long memoryBytes)
    {
        Directory.CreateDirectory(_folder, StoreLock.FolderMode);
        MachineIdentity identity = machine.Identity;
        lock (_gate)
        {
            _published.Add(guest);
            DurableFile.Replace(PathOf(guest), new IdentityRecord
            {
                Name = guest,
                Uuid = identity.Uuid,
                Cid = identity.Cid,
                Started = identity.Started,
                Source = identity.Source,
                Host = [.. machine.Checks, Disk(memoryBytes)],
            }, IdentityJson.Default.IdentityRecord);
        }
    }

    public void Remove(string guest)
    {
        lock (_gate)
        {
            _published.Remove(guest);
            File.Delete(PathOf(guest));
        }
    }

    /// <summary>What an earlier watch has published and this one has not found.</summary>
    public void RemoveStale()
    {
        lock (_gate)
        {
            foreach (string file in Directory.Exists(_folder) ? Directory.GetFiles(_folder) : [])
            {
                if (!_published.Contains(Path.GetFileNameWithoutExtension(file)))
                {
                    File.Delete(file);
                }
            }
        }
    }

    private string PathOf(string guest) => Path.Combine(_folder, guest + ".json");

    private CheckRecord Disk(long memoryBytes)
    {
        try
        {
            string? missing = MemoryCapture.WhyNoRoom(_options, memoryBytes);
            return missing is null
                ? new CheckRecord(HostChecks.Disk, true, "the store's disk has room for all of its memory", "")
                : new CheckRecord(HostChecks.Disk, false, missing, "free space, or lower [Store] KeepFree");
        }
        catch (LinuxException e)
        {
            return new CheckRecord(HostChecks.Disk, false, e.Message, "mend the store's disk");
        }
    }
}
