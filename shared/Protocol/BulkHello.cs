namespace VsockPair.Protocol;

/// <summary>
/// Which ring a bulk connection drains, and its counters. The agent reads them while its pipe is empty, so that
/// <see cref="ReadEvents"/> is exactly what it has taken out of the ring and either sent or dropped.
/// </summary>
public readonly record struct BulkHello
{
    public const int Fields = 5;

    /// <summary>The guest's CPU number.</summary>
    public int Cpu { get; init; }

    public int SubBufferBytes { get; init; }

    /// <summary>New whenever the ring's counters began at zero again.</summary>
    public Guid Generation { get; init; }

    /// <summary><c>read events</c> of <c>per_cpu/cpuN/stats</c>.</summary>
    public ulong ReadEvents { get; init; }

    /// <summary><c>overrun</c> + <c>commit overrun</c> + <c>dropped events</c> of the same file.</summary>
    public ulong LostEvents { get; init; }

    internal void Write(ref FrameWriter writer)
    {
        writer.Write((uint)Cpu);
        writer.Write((uint)SubBufferBytes);
        writer.Write(Generation);
        writer.Write(ReadEvents);
        writer.Write(LostEvents);
    }

    internal static bool TryRead(ref FrameReader reader, out BulkHello hello)
    {
        hello = default;
        if (!reader.TryRead(int.MaxValue, out int cpu) || !reader.TryRead(int.MaxValue, out int subBufferBytes)
            || !reader.TryRead(out Guid generation) || !reader.TryRead(out ulong readEvents) || !reader.TryRead(out ulong lostEvents))
        {
            return false;
        }
        hello = new BulkHello
        {
            Cpu = cpu,
            SubBufferBytes = subBufferBytes,
            Generation = generation,
            ReadEvents = readEvents,
            LostEvents = lostEvents,
        };
        return true;
    }
}
