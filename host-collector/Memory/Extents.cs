namespace VsockPair.Memory;

/// <summary>Where stretches of an address space lie in a file, sorted by address. Of stretches that overlap, the one that begins last counts, as far as it reaches.</summary>
internal sealed class Extents
{
    private readonly Extent[] _extents;

    public Extents(List<Extent> extents)
    {
        extents.Sort((a, b) => a.Address.CompareTo(b.Address));
        _extents = [.. extents];
    }

    /// <summary>Address after the last byte; 0 when there is none.</summary>
    public ulong End => _extents.Length == 0 ? 0 : _extents[^1].End;

    /// <summary>The first that begins within the one before.</summary>
    public Extent? FirstOverlap
    {
        get
        {
            for (int i = 1; i < _extents.Length; i++)
            {
                if (_extents[i].Address < _extents[i - 1].End)
                {
                    return _extents[i];
                }
            }
            return null;
        }
    }

    public bool TryRead(IByteSource file, ulong address, Span<byte> target)
    {
        while (target.Length > 0)
        {
            int index = Find(address);
            if (index < 0)
            {
                return false;
            }
            Extent extent = _extents[index];
            ulong within = address - extent.Address;
            int count = (int)Math.Min((ulong)target.Length, extent.Bytes - within);
            if (!file.TryRead(extent.Place + (long)within, target[..count]))
            {
                return false;
            }
            target = target[count..];
            address += (ulong)count;
        }
        return true;
    }

    private int Find(ulong address)
    {
        int low = 0;
        int high = _extents.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_extents[middle].Address <= address)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }
        return low > 0 && address < _extents[low - 1].End ? low - 1 : -1;
    }
}

/// <param name="Place">Offset in the file.</param>
internal readonly record struct Extent(ulong Address, ulong Bytes, long Place)
{
    public ulong End => Address + Bytes;
}
