using VsockPair.Linux;
using VsockPair.Options;
using VsockPair.Storage;

namespace VsockPair.Listening;

/// <summary>From a CID to a guest's name: the configuration first, then what <c>watch</c> has published, else <c>cid-N</c>.</summary>
internal sealed class IdentityMap(CollectorOptions options)
{
    /// <summary>A folder's time stamp moves in ticks of the kernel: one that is younger than this may stand for two states.</summary>
    private static readonly TimeSpan Settled = TimeSpan.FromSeconds(1);

    private readonly string _folder = StorePaths.Identity(options.StoreDirectory);

    private Dictionary<uint, IdentityRecord> _published = [];
    private DateTime? _readAt;

    /// <summary>For one thread.</summary>
    /// <returns>Null when no guest can have this CID.</returns>
    public GuestIdentity? Resolve(uint cid)
    {
        // 0 is the hypervisor, 1 this machine itself, 2 a host above this one (vsock(7)).
        if (cid is 0 or Constants.VMADDR_CID_HOST or Constants.VMADDR_CID_ANY || (cid == Constants.VMADDR_CID_LOCAL && !options.Listen.AllowLoopback))
        {
            return null;
        }
        GuestOptions? known = options.Guests.FirstOrDefault(g => g.Cid == cid);
        if (known is not null)
        {
            return new GuestIdentity(known.Name, "map", Cid: cid);
        }
        IdentityRecord? published = cid == Constants.VMADDR_CID_LOCAL ? null : FindPublished(cid);
        return published is null
            ? new GuestIdentity(GuestName.Unresolved(cid), "cid", Cid: cid)
            : new GuestIdentity(options.Guests.FirstOrDefault(g => g.Uuid is not null && g.Uuid == published.Uuid)?.Name ?? published.Name, "identity", Cid: cid);
    }

    private IdentityRecord? FindPublished(uint cid)
    {
        // The time of a folder that is not there is 1601.
        DateTime changed = Directory.GetLastWriteTimeUtc(_folder);
        if (_readAt != changed)
        {
            _published = ReadPublished(out bool whole);
            _readAt = whole && DateTime.UtcNow - changed > Settled ? changed : null;
        }
        return _published.GetValueOrDefault(cid);
    }

    /// <param name="whole">False when something could not be read and is worth another try.</param>
    private Dictionary<uint, IdentityRecord> ReadPublished(out bool whole)
    {
        Dictionary<uint, IdentityRecord> published = [];
        whole = true;
        if (!Directory.Exists(_folder))
        {
            return published;
        }
        try
        {
            foreach (string file in Directory.GetFiles(_folder, "*.json"))
            {
                whole &= TryAdd(published, file);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The folder itself went, or may not be read: its guests are known by their CIDs alone.
            whole = false;
        }
        return published;
    }

    private static bool TryAdd(Dictionary<uint, IdentityRecord> published, string file)
    {
        try
        {
            if (DurableFile.TryRead(file, IdentityJson.Default.IdentityRecord) is { Cid: uint cid } record && GuestName.IsValid(record.Name))
            {
                published.TryAdd(cid, record);
            }
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Its VM has ended since the folder was listed, or the file may not be read: no other VM is touched by that.
            return false;
        }
    }
}
