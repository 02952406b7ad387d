namespace VsockPair.Protocol;

/// <summary>Collector → agent: the connection is accepted.</summary>
/// <param name="Version">Version both speak from here on.</param>
/// <param name="Session">Id of the session, which the agent keeps and names in its next Hello.</param>
/// <param name="Token">What the session's other connections must show.</param>
/// <param name="NextSequence">On kmsg: the first record that the collector lacks. 0 on other connections.</param>
/// <param name="MaxCpus">CPU numbers from here on are refused.</param>
public readonly record struct Welcome(uint Version, Guid Session, Guid Token, ulong NextSequence, int MaxCpus) : IMessage<Welcome>
{
    public static MessageType Type => MessageType.Welcome;

    public int Fields => 5;

    public void Write(ref FrameWriter writer)
    {
        writer.Write(Version);
        writer.Write(Session);
        writer.Write(Token);
        writer.Write(NextSequence);
        writer.Write((uint)MaxCpus);
    }

    public static bool TryRead(ref FrameReader reader, out Welcome message)
    {
        bool read = reader.TryRead(out uint version) & reader.TryRead(out Guid session) & reader.TryRead(out Guid token)
            & reader.TryRead(out ulong nextSequence) & reader.TryRead(int.MaxValue, out int maxCpus);
        message = new Welcome(version, session, token, nextSequence, maxCpus);
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
