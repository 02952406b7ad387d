namespace VsockPair.Protocol;

/// <summary>First frame of every connection, agent → collector. <see cref="Kind"/> says which of the fields after it are there.</summary>
public readonly record struct Hello : IMessage<Hello>
{
    internal const int CommonFields = 4;

    public static MessageType Type => MessageType.Hello;

    public uint OldestVersion { get; init; }
    public uint NewestVersion { get; init; }
    public ConnectionKind Kind { get; init; }
    public Guid BootId { get; init; }

    /// <summary>There for <see cref="ConnectionKind.Control"/>.</summary>
    public ControlHello Control { get; init; }

    /// <summary>There for all other kinds: the session that the connection belongs to.</summary>
    public Guid Token { get; init; }

    /// <summary>There for <see cref="ConnectionKind.Bulk"/>.</summary>
    public BulkHello Bulk { get; init; }

    /// <summary>There for <see cref="ConnectionKind.Probe"/>: bytes that will follow in one send.</summary>
    public int ProbeBytes { get; init; }

    public int Fields => CommonFields + Kind switch
    {
        ConnectionKind.Control => Control.Fields,
        ConnectionKind.Kmsg => 1,
        ConnectionKind.Bulk => 1 + BulkHello.Fields,
        _ => 2,
    };

    public void Write(ref FrameWriter writer)
    {
        writer.Write(OldestVersion);
        writer.Write(NewestVersion);
        writer.Write((uint)Kind);
        writer.Write(BootId);
        if (Kind == ConnectionKind.Control)
        {
            Control.Write(ref writer);
            return;
        }
        writer.Write(Token);
        if (Kind == ConnectionKind.Bulk)
        {
            Bulk.Write(ref writer);
        }
        else if (Kind == ConnectionKind.Probe)
        {
            writer.Write((uint)ProbeBytes);
        }
    }

    public static bool TryRead(ref FrameReader reader, out Hello message)
    {
        message = default;
        if (!reader.TryRead(out uint oldest) || !reader.TryRead(out uint newest) || !reader.TryRead((int)ConnectionKind.Probe, out int kind)
            || !reader.TryRead(out Guid bootId))
        {
            return false;
        }
        message = new Hello { OldestVersion = oldest, NewestVersion = newest, Kind = (ConnectionKind)kind, BootId = bootId };
        if (message.Kind == ConnectionKind.Control)
        {
            bool read = ControlHello.TryRead(ref reader, out ControlHello control);
            message = message with { Control = control };
            return read;
        }
        if (!reader.TryRead(out Guid token))
        {
            return false;
        }
        message = message with { Token = token };
        if (message.Kind == ConnectionKind.Bulk)
        {
            bool read = BulkHello.TryRead(ref reader, out BulkHello bulk);
            message = message with { Bulk = bulk };
            return read;
        }
        if (message.Kind == ConnectionKind.Probe)
        {
            bool read = reader.TryRead(Wire.ProbeBytes, out int bytes);
            message = message with { ProbeBytes = bytes };
            return read;
        }
        return true;
    }
}
