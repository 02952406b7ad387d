using System.Buffers.Text;
using VsockPair.Linux;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>One ring's counters, as <c>per_cpu/cpuN/stats</c> shows them (<c>tracing_stats_read</c>), in events.</summary>
internal readonly record struct CpuStats
{
    /// <summary>In the ring, unread.</summary>
    public ulong Entries { get; init; }

    public ulong ReadEvents { get; init; }

    /// <summary>Overwritten, or dropped because an event interrupted another.</summary>
    public ulong LostEvents { get; init; }

    /// <summary>The ring's clock, nanoseconds with the file's resolution of 1 µs; null for a clock that does not count time.</summary>
    public long? Now { get; init; }

    public static CpuStats Parse(ReadOnlySpan<byte> text)
    {
        ulong entries = 0, read = 0, lost = 0;
        long? now = null;
        foreach (Range range in text.Split((byte)'\n'))
        {
            ReadOnlySpan<byte> line = text[range];
            int colon = line.IndexOf((byte)':');
            if (colon < 0)
            {
                continue;
            }
            ReadOnlySpan<byte> name = line[..colon];
            ReadOnlySpan<byte> value = line[(colon + 1)..].Trim((byte)' ');
            if (name.SequenceEqual("now ts"u8))
            {
                now = ParseSeconds(value);
            }
            else if (Utf8Parser.TryParse(value, out ulong number, out _))
            {
                entries += name.SequenceEqual("entries"u8) ? number : 0;
                read += name.SequenceEqual("read events"u8) ? number : 0;
                bool isLoss = name.SequenceEqual("overrun"u8) || name.SequenceEqual("commit overrun"u8) || name.SequenceEqual("dropped events"u8);
                lost += isLoss ? number : 0;
            }
        }
        return new CpuStats { Entries = entries, ReadEvents = read, LostEvents = lost, Now = now };
    }

    // "12.345678": seconds and microseconds.
    private static long? ParseSeconds(ReadOnlySpan<byte> value)
    {
        int point = value.IndexOf((byte)'.');
        return point > 0 && Utf8Parser.TryParse(value[..point], out long seconds, out _)
            && Utf8Parser.TryParse(value[(point + 1)..], out long microseconds, out int digits) && digits == 6
            ? seconds * 1_000_000_000 + microseconds * 1000
            : null;
    }
}

/// <summary>Keeps a <c>stats</c> file open; each look at it costs one system call and no garbage.</summary>
internal sealed unsafe class CpuStatsFile(string path) : IDisposable
{
    private readonly Fd _file = Fd.Own(Sys.Open(path, Constants.O_RDONLY), "open", path);

    public CpuStats Read()
    {
        byte* text = stackalloc byte[1024];
        int bytes = LinuxException.Check(Sys.PRead(_file.Value, text, 1024, 0), "read", path);
        return CpuStats.Parse(new ReadOnlySpan<byte>(text, bytes));
    }

    public void Dispose() => _file.Dispose();
}
