namespace VsockPair.Protocol;

/// <summary>What a collector is able to do beyond version 1 of the protocol, as its Welcome says.</summary>
[Flags]
public enum CollectorCapabilities : uint
{
    None = 0,

    /// <summary>Takes files of the kind <see cref="OfferedKind.Previous"/>: to an older one they would be a violation.</summary>
    PreviousTrace = 1,
}

/// <summary>Collector → agent: the connection is accepted.</summary>
/// <param name="Version">Version both speak from here on.</param>
/// <param name="Session">Id of the session, which the agent keeps and names in its next Hello.</param>
/// <param name="Token">What the session's other connections must show.</param>
/// <param name="NextSequence">On kmsg: the first record that the collector lacks. 0 on other connections.</param>
/// <param name="MaxCpus">CPU numbers from here on are refused.</param>
/// <param name="Capabilities">Null for a collector that is older than this field.</param>
public readonly record struct Welcome(
    uint Version, Guid Session, Guid Token, ulong NextSequence, int MaxCpus, CollectorCapabilities? Capabilities = null) : IMessage<Welcome>
{
    // Capabilities came later: a collector of the first days ends before them.
    private const int FieldsOfFirstCollectors = 5;

    public static MessageType Type => MessageType.Welcome;

    public int Fields => FieldsOfFirstCollectors + (Capabilities is null ? 0 : 1);

    public void Write(ref FrameWriter writer)
    {
        writer.Write(Version);
        writer.Write(Session);
        writer.Write(Token);
        writer.Write(NextSequence);
        writer.Write((uint)MaxCpus);
        if (Capabilities is CollectorCapabilities capabilities)
        {
            writer.Write((uint)capabilities);
        }
    }

    public static bool TryRead(ref FrameReader reader, out Welcome message)
    {
        bool read = reader.TryRead(out uint version) & reader.TryRead(out Guid session) & reader.TryRead(out Guid token)
            & reader.TryRead(out ulong nextSequence) & reader.TryRead(int.MaxValue, out int maxCpus);
        bool hasCapabilities = reader.Fields > FieldsOfFirstCollectors;
        uint capabilities = 0;
        read = read && (!hasCapabilities || reader.TryRead(out capabilities));
        message = new Welcome(version, session, token, nextSequence, maxCpus, hasCapabilities ? (CollectorCapabilities)capabilities : null);
        return read;
    }
}

/// <summary>Collector → agent: the connection is not accepted and will be closed.</summary>
public readonly record struct Refusal(RefusalReason Reason, string Text) : IMessage<Refusal>
{
    public static MessageType Type => MessageType.Refusal;

    public int Fields => 2;

    public void Write(ref FrameWriter writer)
    {
        writer.Write((uint)Reason);
        writer.Write(Text);
    }

    public static bool TryRead(ref FrameReader reader, out Refusal message)
    {
        bool read = reader.TryRead(out uint reason) & reader.TryRead(out string text);
        message = new Refusal((RefusalReason)reason, text);
        return read;
    }
}

/// <summary>Collector → agent, on a probe connection: the bytes that arrived after the Welcome.</summary>
public readonly record struct ProbeResult(int Bytes) : IMessage<ProbeResult>
{
    public static MessageType Type => MessageType.ProbeResult;

    public int Fields => 1;

    public void Write(ref FrameWriter writer) => writer.Write((uint)Bytes);

    public static bool TryRead(ref FrameReader reader, out ProbeResult message)
    {
        bool read = reader.TryRead(Wire.ProbeBytes, out int bytes);
        message = new ProbeResult(bytes);
        return read;
    }
}
