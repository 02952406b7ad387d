namespace VsockPair.Protocol;

/// <summary>What an agent says of itself and its guest when it opens a session. All of it is a claim.</summary>
public readonly record struct ControlHello
{
    // Capabilities and then the boot clock came later: an agent of the first days ends before them.
    private const int FieldsOfFirstAgents = 12;

    public int Fields => FieldsOfFirstAgents + (BootClock is not null ? 2 : Capabilities is not null ? 1 : 0);

    /// <summary>New for each start of the agent.</summary>
    public Guid AgentInstance { get; init; }

    /// <summary>The session before this one, of this boot, also of an earlier agent process; zero if there was none.</summary>
    public Guid PreviousSession { get; init; }

    public string AgentVersion { get; init; }

    /// <summary><c>uname -r</c>, <c>-v</c>, <c>-m</c> and <c>-n</c>.</summary>
    public string KernelRelease { get; init; }
    public string KernelVersion { get; init; }
    public string Machine { get; init; }
    public string NodeName { get; init; }

    /// <summary>GNU build-id of the running kernel (<c>/sys/kernel/notes</c>), 0 to 32 bytes.</summary>
    public ReadOnlyMemory<byte> BuildId { get; init; }

    public int PossibleCpus { get; init; }

    /// <summary>0 when the guest cannot trace.</summary>
    public int SubBufferBytes { get; init; }

    /// <summary>The ring's trace clock, e.g. <c>boot</c>.</summary>
    public string TraceClock { get; init; }

    /// <summary>What is missing in this guest, one line each, for its operator: at most <see cref="Wire.MaxNotes"/>.</summary>
    public IReadOnlyList<string> Notes { get; init; }

    /// <summary>Null for an agent that is older than this field.</summary>
    public AgentCapabilities? Capabilities { get; init; }

    /// <summary>CLOCK_BOOTTIME in ns when this was sent: less than the collector has seen of this boot is a snapshot that was restored. Null for an agent that is older than this field.</summary>
    public long? BootClock { get; init; }

    internal void Write(ref FrameWriter writer)
    {
        writer.Write(AgentInstance);
        writer.Write(PreviousSession);
        writer.Write(AgentVersion);
        writer.Write(KernelRelease);
        writer.Write(KernelVersion);
        writer.Write(Machine);
        writer.Write(NodeName);
        writer.Write(BuildId.Span);
        writer.Write((uint)PossibleCpus);
        writer.Write((uint)SubBufferBytes);
        writer.Write(TraceClock);
        writer.Write(Notes);
        if (Capabilities is not null || BootClock is not null)
        {
            writer.Write((uint)(Capabilities ?? AgentCapabilities.None));
        }
        if (BootClock is long bootClock)
        {
            writer.Write(bootClock);
        }
    }

    internal static bool TryRead(ref FrameReader reader, out ControlHello hello)
    {
        hello = default;
        if (!reader.TryRead(out Guid instance) || !reader.TryRead(out Guid previous) || !reader.TryRead(out string agentVersion)
            || !reader.TryRead(out string release) || !reader.TryRead(out string version) || !reader.TryRead(out string machine)
            || !reader.TryRead(out string nodeName) || !reader.TryReadBytes(Wire.MaxBuildIdBytes, out ReadOnlySpan<byte> buildId)
            || !reader.TryRead(int.MaxValue, out int cpus) || !reader.TryRead(int.MaxValue, out int subBufferBytes)
            || !reader.TryRead(out string clock) || !reader.TryReadTexts(Wire.MaxNotes, out IReadOnlyList<string> notes))
        {
            return false;
        }
        bool hasCapabilities = reader.Fields > Hello.CommonFields + FieldsOfFirstAgents;
        uint capabilities = 0;
        if (hasCapabilities && !reader.TryRead(out capabilities))
        {
            return false;
        }
        long? bootClock = null;
        if (reader.Fields > Hello.CommonFields + FieldsOfFirstAgents + 1 && !reader.TryRead(out bootClock))
        {
            return false;
        }
        hello = new ControlHello
        {
            AgentInstance = instance,
            PreviousSession = previous,
            AgentVersion = agentVersion,
            KernelRelease = release,
            KernelVersion = version,
            Machine = machine,
            NodeName = nodeName,
            BuildId = buildId.ToArray(),
            PossibleCpus = cpus,
            SubBufferBytes = subBufferBytes,
            TraceClock = clock,
            Notes = notes,
            Capabilities = hasCapabilities ? (AgentCapabilities)capabilities : null,
            BootClock = bootClock,
        };
        return true;
    }
}
