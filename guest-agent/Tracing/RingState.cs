using VsockPair.Linux;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>
/// What the next agent process of this boot must know: which generation the ring's counters belong to, how the ring was made, and the last session.
/// Kept in <c>/run/vsockpair-agent/ring</c>, replaced atomically.
/// </summary>
internal sealed class RingState
{
    public required Guid BootId { get; init; }

    public Guid Session { get; init; }

    /// <summary>Zero while there is no ring.</summary>
    public Guid Generation { get; init; }

    public int SubBufferBytes { get; init; }

    /// <summary>What <c>buffer_size_kb</c> was asked to be; 0 when the agent chose.</summary>
    public int AskedBufferKb { get; init; }

    /// <summary>What <c>buffer_size_kb</c> was then set to; 0 where an agent of the first days made the ring.</summary>
    public int BufferKb { get; init; }

    private const string FileName = "ring";

    public RingState InSession(Guid session) => new()
    {
        BootId = BootId,
        Session = session,
        Generation = Generation,
        SubBufferBytes = SubBufferBytes,
        AskedBufferKb = AskedBufferKb,
        BufferKb = BufferKb,
    };

    /// <summary>The same boot and session with another ring, or none.</summary>
    public RingState WithRing(Guid generation, int subBufferBytes, int askedBufferKb, int bufferKb) => new()
    {
        BootId = BootId,
        Session = Session,
        Generation = generation,
        SubBufferBytes = subBufferBytes,
        AskedBufferKb = askedBufferKb,
        BufferKb = bufferKb,
    };

    /// <summary>The state of this boot, or null if there is none or it is not one.</summary>
    /// <exception cref="LinuxException">The file is there and cannot be read.</exception>
    public static RingState? Load(string folder, Guid bootId)
    {
        string path = Path.Combine(folder, FileName);
        if (!Path.Exists(path))
        {
            return null;
        }
        Dictionary<string, string> values = [];
        foreach (string line in SmallFile.ReadText(path).Split('\n'))
        {
            int equals = line.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0)
            {
                values[line[..equals]] = line[(equals + 1)..];
            }
        }
        bool whole = Guid.TryParse(values.GetValueOrDefault("boot"), out Guid boot) & Guid.TryParse(values.GetValueOrDefault("session"), out Guid session)
            & Guid.TryParse(values.GetValueOrDefault("generation"), out Guid generation)
            & int.TryParse(values.GetValueOrDefault("sub_buffer_bytes"), out int subBufferBytes)
            & int.TryParse(values.GetValueOrDefault("asked_buffer_kb"), out int askedBufferKb);
        _ = int.TryParse(values.GetValueOrDefault("buffer_kb"), out int bufferKb);
        return whole && boot == bootId
            ? new RingState { BootId = boot, Session = session }.WithRing(generation, subBufferBytes, askedBufferKb, bufferKb)
            : null;
    }

    /// <exception cref="IOException">The folder cannot be written.</exception>
    public void Save(string folder)
    {
        string path = Path.Combine(folder, FileName);
        SmallFile.Write($"{path}.new", $"boot={BootId}\nsession={Session}\ngeneration={Generation}\n"
            + $"sub_buffer_bytes={SubBufferBytes}\nasked_buffer_kb={AskedBufferKb}\nbuffer_kb={BufferKb}\n");
        LinuxException.Check(Sys.Rename($"{path}.new", path), "rename", path);
    }
}
