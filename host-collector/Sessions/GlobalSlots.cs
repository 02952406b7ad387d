using System.Globalization;

namespace VsockPair.Sessions;

/// <summary>
/// Connections of all guests together: half of the descriptors that this process may have (each bulk stream also has an open segment), and a reserve for files that are
/// opened in passing.
/// </summary>
internal sealed class GlobalSlots
{
    private const int Reserve = 64;

    private int _taken;

    public GlobalSlots() => Limit = Math.Max(16, (ReadFileLimit() - Reserve) / 2);

    public int Limit { get; }

    /// <summary>What one guest may take of them.</summary>
    public int LimitOfGuest => Limit / 4;

    public bool TryTake()
    {
        if (Interlocked.Increment(ref _taken) <= Limit)
        {
            return true;
        }
        Return();
        return false;
    }

    public void Return() => Interlocked.Decrement(ref _taken);

    private static int ReadFileLimit()
    {
        // "Max open files            1024                 524288               files": soft, then hard (proc(5)).
        string line = File.ReadLines("/proc/self/limits").First(l => l.StartsWith("Max open files", StringComparison.Ordinal));
        string soft = line["Max open files".Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0];
        return int.TryParse(soft, NumberStyles.None, CultureInfo.InvariantCulture, out int limit) ? limit : 1 << 20;
    }
}
