using VsockPair.Linux;

namespace VsockPair.GuestAgent.Metadata;

/// <summary>
/// Something that changes while the guest runs, mostly a file, in one session. One that has changed at every look is looked at less and less often, so that the offers
/// of a session last for months.
/// </summary>
/// <param name="digest">What makes two contents the same.</param>
/// <param name="firstWait">Until it is looked at again; doubles as long as it keeps changing.</param>
internal sealed class ChangingFile(Func<byte[]> read, Func<byte[], byte[]> digest, TimeSpan firstWait)
{
    private const int MostDoublings = 20;

    private static readonly TimeSpan LongestDoubled = TimeSpan.FromMinutes(10);

    // Beyond 120 offers: two weeks make it an hour, and half a year uses 2500 of the session's 4096 offers.
    private static readonly TimeSpan WaitPerOffer = TimeSpan.FromSeconds(5);

    private byte[] _last = [];
    private int _offers;
    private int _changesInARow;
    private TimeSpan _lookAt = TimeSpan.MinValue;

    public ChangingFile(string path, Func<byte[], byte[]> digest, TimeSpan firstWait)
        : this(() => Read(path), digest, firstWait)
    {
    }

    /// <summary>Of the content taken last, empty before the first.</summary>
    public ReadOnlySpan<byte> Digest => _last;

    /// <param name="now">Of any clock that does not jump.</param>
    /// <returns>Its content, null when it is not yet time or the content is known.</returns>
    public byte[]? TakeChange(TimeSpan now)
    {
        if (now < _lookAt)
        {
            return null;
        }
        byte[] bytes = read();
        byte[] current = digest(bytes);
        bool isNew = bytes.Length > 0 && !current.AsSpan().SequenceEqual(_last);
        _changesInARow = isNew ? Math.Min(_changesInARow + 1, MostDoublings) : 0;
        _offers += isNew ? 1 : 0;
        TimeSpan wait = firstWait * (1 << Math.Max(0, _changesInARow - 1));
        wait = wait < LongestDoubled ? wait : LongestDoubled;
        TimeSpan least = isNew ? WaitPerOffer * (_offers - 1) : TimeSpan.Zero;
        // Who asks does so every firstWait, but not to the millisecond.
        _lookAt = now + (least > wait ? least : wait) - firstWait / 2;
        if (!isNew)
        {
            return null;
        }
        _last = current;
        return bytes;
    }

    private static byte[] Read(string path)
    {
        try
        {
            return File.Exists(path) ? SmallFile.ReadBytes(path) : [];
        }
        catch (LinuxException e)
        {
            AgentLog.Warning($"{path} cannot be read, ignoring: {e.Message}");
            return [];
        }
    }
}
