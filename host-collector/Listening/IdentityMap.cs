using VsockPair.Linux;
using VsockPair.Options;
using VsockPair.Storage;

namespace VsockPair.Listening;

/// <summary>From a CID to a guest's name: the configuration first, then what <c>watch</c> has published, else <c>cid-N</c>.</summary>
internal sealed class IdentityMap(CollectorOptions options)
{
    private readonly string _folder = StorePaths.Identity(options.StoreDirectory);

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

    private IdentityRecord? FindPublished(uint cid) => !Directory.Exists(_folder) ? null
        : Directory.EnumerateFiles(_folder, "*.json")
            .Select(file => DurableFile.TryRead(file, IdentityJson.Default.IdentityRecord))
            .FirstOrDefault(record => record is not null && record.Cid == cid && GuestName.IsValid(record.Name));
}
