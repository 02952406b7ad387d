namespace VsockPair.Memory;

/// <summary>Finds the members of the kernel's structs that a reader cannot do without, and says which there are not.</summary>
internal sealed class MemberSearch(KernelTypes types)
{
    /// <summary>The widest struct that is read has 10 KiB: beyond this a guest would have us read what it wants.</summary>
    private const int Furthest = 64 << 10;

    /// <summary><c>struct list_head</c>: next, then prev.</summary>
    private const int ListBytes = 16;

    private readonly List<string> _missing = [];

    public IReadOnlyList<string> Missing => _missing;

    /// <summary>A number or a pointer, of 4 or 8 bytes.</summary>
    /// <param name="paths">The names that it has had, the newest first.</param>
    public KernelMember Number(string type, params ReadOnlySpan<string> paths) => Find(type, paths, size => size is 4 or 8);

    public KernelMember List(string type, string path) => Bytes(type, path, ListBytes);

    public KernelMember Bytes(string type, string path, int bytes) => Find(type, [path], size => size == bytes);

    private KernelMember Find(string type, ReadOnlySpan<string> paths, Predicate<int> fits)
    {
        foreach (string path in paths)
        {
            if (types.Find(type, path) is KernelMember found && found.End <= Furthest && fits(found.Size))
            {
                return found;
            }
        }
        _missing.Add($"{paths[0]} in struct {type}");
        return default;
    }
}
