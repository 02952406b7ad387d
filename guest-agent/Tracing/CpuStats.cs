using System.Buffers.Text;

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

/// <summary>An open <c>stats</c> file.</summary>
internal sealed class CpuStatsFile(string path) : IDisposable
{
    private readonly PolledFile _file = new(path);

    public CpuStats Read()
    {
        Span<byte> text = stackalloc byte[1024];
        return CpuStats.Parse(text[.._file.Read(text)]);
    }

    public void Dispose() => _file.Dispose();
}
