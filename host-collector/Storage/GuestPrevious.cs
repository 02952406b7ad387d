using System.Security.Cryptography;
using VsockPair.Protocol;

namespace VsockPair.Storage;

/// <summary>
/// What agents found in the persistent trace rings of their guest: <c>boots/ID/previous/</c>, by the boot that found it (PROTOCOL.md, "Previous"). Bounded for a boot and for the
/// guest, whose oldest goes when a newer one needs the room. Any thread.
/// </summary>
internal sealed class GuestPrevious
{
    /// <summary>What a line of the ledger has in place of a stream.</summary>
    public const string Stream = "previous";

    public const string Info = "info";

    /// <summary>For one boot, and for all of a guest's together.</summary>
    public const long MostOfBoot = 64L << 20;
    public const long MostOfGuest = 256L << 20;

    private const int MostFilesOfBoot = 4096;
    private const int MostInfoBytes = 64 << 10;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, (long Bytes, int Files)> _boots = new(StringComparer.Ordinal);

    /// <summary>Finds what is stored, and clears away what a dead collector had not finished.</summary>
    public GuestPrevious(IEnumerable<string> bootFolders)
    {
        foreach (string boot in bootFolders)
        {
            string folder = StorePaths.Previous(boot);
            foreach (string file in Directory.Exists(folder) ? Directory.GetFiles(folder, "*", SearchOption.AllDirectories) : [])
            {
                if (file.EndsWith(DurableFile.TemporarySuffix, StringComparison.Ordinal))
                {
                    File.Delete(file);
                }
                else
                {
                    Add(boot, new FileInfo(file).Length);
                }
            }
        }
    }

    /// <param name="vcpus">Numbers from here on are no vCPU of this guest.</param>
    /// <returns>Null for a name that no such file can have.</returns>
    public static string? PathOf(string boot, string name, int vcpus, out int subBufferBytes)
    {
        subBufferBytes = 0;
        if (name == Info)
        {
            return Path.Combine(StorePaths.Previous(boot), Info);
        }
        // Made anew from what the name says: no part of the guest's text gets into a path.
        return name.Split('/') is [string stream, string segment]
            && StorePaths.TryParseStream(stream, out int vcpu) && vcpu < vcpus
            && StorePaths.TryParseSegmentName(segment, out ulong first, out subBufferBytes)
            && subBufferBytes is >= Wire.MinSubBufferBytes and <= Wire.MaxSubBufferBytes && int.IsPow2(subBufferBytes)
            ? Path.Combine(StorePaths.PreviousVcpu(boot, vcpu), StorePaths.SegmentName(first, subBufferBytes))
            : null;
    }

    /// <param name="onTheWay">Bytes of this boot's files that were asked for and are not stored yet.</param>
    public OfferAnswer Answer(string boot, in FileOffer offer, int vcpus, long onTheWay)
    {
        if (PathOf(boot, offer.Name, vcpus, out int subBufferBytes) is not string path
            || offer.Size == 0 || (subBufferBytes == 0 ? offer.Size > MostInfoBytes : offer.Size % subBufferBytes != 0))
        {
            return OfferAnswer.Refused;
        }
        if (HashOf(path) is string stored)
        {
            return stored == Convert.ToHexStringLower(offer.Sha256.Span) ? OfferAnswer.Have : OfferAnswer.Refused;
        }
        lock (_gate)
        {
            (long bytes, int files) = _boots.GetValueOrDefault(boot);
            return bytes + onTheWay + offer.Size <= MostOfBoot && files < MostFilesOfBoot ? OfferAnswer.Want : OfferAnswer.Refused;
        }
    }

    public void Add(string boot, long bytes)
    {
        lock (_gate)
        {
            (long before, int files) = _boots.GetValueOrDefault(boot);
            _boots[boot] = (before + bytes, files + 1);
        }
    }

    /// <summary>Before a boot's folder goes, or what it has of this.</summary>
    public void RemoveAllOf(string boot)
    {
        lock (_gate)
        {
            _boots.Remove(boot);
        }
    }

    /// <summary>The boot whose find was stored longest ago, when all together are more than a guest may have; never <paramref name="newest"/>.</summary>
    public string? FindSuperfluous(string newest)
    {
        lock (_gate)
        {
            return _boots.Sum(b => b.Value.Bytes) <= MostOfGuest
                ? null
                : _boots.Keys.Where(boot => boot != newest).MinBy(boot => Directory.GetLastWriteTimeUtc(StorePaths.Previous(boot)));
        }
    }

    /// <summary>What the ledger says of one boot's find that goes.</summary>
    public static LossRecord LineOf(string boot, DateTimeOffset now)
    {
        long events = 0;
        long bytes = 0;
        foreach (string file in Directory.EnumerateFiles(StorePaths.Previous(boot), "*", SearchOption.AllDirectories))
        {
            bytes = Saturating.Add(bytes, DiskSpace.BlocksOf(file));
            events = Saturating.Add(events, Math.Max(0, SegmentSum.TryRead(file)?.Events ?? 0));
        }
        return new LossRecord { Time = now, Source = LossSources.Retention, Stream = Stream, Events = events, Bytes = bytes, Boot = Path.GetFileName(boot) };
    }

    /// <summary>Null for what is not stored whole: a segment without its sidecar is not.</summary>
    private static string? HashOf(string path)
    {
        if (!File.Exists(path))
        {
            return null;
        }
        return Path.GetFileName(path) == Info ? Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path))) : SegmentSum.TryRead(path)?.Sha256;
    }
}
