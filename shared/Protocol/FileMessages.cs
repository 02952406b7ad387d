namespace VsockPair.Protocol;

/// <summary>What an offered file is.</summary>
public enum OfferedKind : uint
{
    /// <summary>What decoding needs: formats, symbols, types. Named as in PROTOCOL.md, "Metadata".</summary>
    Metadata = 0,

    /// <summary>A record that survived a crash. Named as its file in the guest.</summary>
    Pstore = 1,

    /// <summary>What the guest's persistent trace ring held of the boot before. Named as in PROTOCOL.md, "Previous".</summary>
    Previous = 2,
}

/// <summary>Agent → collector: the guest has this file.</summary>
/// <param name="Id">Chosen by the agent, unique in the session.</param>
/// <param name="ModifiedNanoseconds">The file's mtime, CLOCK_REALTIME of the guest, 0 where it means nothing.</param>
/// <param name="Sha256">32 bytes.</param>
public readonly record struct FileOffer(uint Id, OfferedKind Kind, string Name, long Size, long ModifiedNanoseconds, ReadOnlyMemory<byte> Sha256)
    : IMessage<FileOffer>
{
    public static MessageType Type => MessageType.FileOffer;

    public int Fields => 6;

    public void Write(ref FrameWriter writer)
    {
        writer.Write(Id);
        writer.Write((uint)Kind);
        writer.Write(Name);
        writer.Write(Size);
        writer.Write(ModifiedNanoseconds);
        writer.Write(Sha256.Span);
    }

    public static bool TryRead(ref FrameReader reader, out FileOffer message)
    {
        bool read = reader.TryRead(out uint id) & reader.TryRead((int)OfferedKind.Previous, out int kind) & reader.TryRead(out string name)
            & reader.TryRead(out long size) & reader.TryRead(out long modified) & reader.TryReadBytes(32, out ReadOnlySpan<byte> sha256);
        message = new FileOffer(id, (OfferedKind)kind, name, size, modified, sha256.ToArray());
        return read && size >= 0 && sha256.Length == 32;
    }
}

/// <summary>What the collector does with an offer.</summary>
public enum OfferAnswer : uint
{
    /// <summary>It is stored already, durably.</summary>
    Have = 0,

    Want = 1,

    /// <summary>Too large, a bad name, or over the guest's quota: do not offer it again in this session.</summary>
    Refused = 2,
}

/// <summary>Collector → agent.</summary>
public readonly record struct FileAnswer(uint Id, OfferAnswer Answer) : IMessage<FileAnswer>
{
    public static MessageType Type => MessageType.FileAnswer;

    public int Fields => 2;

    public void Write(ref FrameWriter writer)
    {
        writer.Write(Id);
        writer.Write((uint)Answer);
    }

    public static bool TryRead(ref FrameReader reader, out FileAnswer message)
    {
        bool read = reader.TryRead(out uint id) & reader.TryRead((int)OfferAnswer.Refused, out int answer);
        message = new FileAnswer(id, (OfferAnswer)answer);
        return read;
    }
}

/// <summary>Agent → collector: the next bytes of a wanted file, in order from offset 0, 1 to <see cref="Wire.MaxFileChunkBytes"/> at once. One file at a time.</summary>
public readonly ref struct FileChunk(uint id, long offset, ReadOnlySpan<byte> bytes)
{
    public uint Id { get; } = id;

    public long Offset { get; } = offset;

    public ReadOnlySpan<byte> Bytes { get; } = bytes;

    private const int Fields = 3;

    public int Encode(Span<byte> buffer)
    {
        FrameWriter writer = new(buffer, MessageType.FileChunk, Fields);
        writer.Write(Id);
        writer.Write(Offset);
        writer.Write(Bytes);
        return writer.Finish();
    }

    public static bool TryDecode(ReadOnlySpan<byte> body, out FileChunk chunk)
    {
        FrameReader reader = new(body);
        bool read = reader.TryReadType(out MessageType type, out int fields) & reader.TryRead(out uint id) & reader.TryRead(out long offset)
            & reader.TryReadBytes(Wire.MaxFileChunkBytes, out ReadOnlySpan<byte> bytes);
        chunk = new FileChunk(id, offset, bytes);
        return read && type == MessageType.FileChunk && fields >= Fields && offset >= 0 && bytes.Length > 0;
    }
}

/// <summary>Collector → agent: the whole file is on the disk, synced, and its SHA-256 is the offered one.</summary>
public readonly record struct FileStored(uint Id) : IMessage<FileStored>
{
    public static MessageType Type => MessageType.FileStored;

    public int Fields => 1;

    public void Write(ref FrameWriter writer) => writer.Write(Id);

    public static bool TryRead(ref FrameReader reader, out FileStored message)
    {
        bool read = reader.TryRead(out uint id);
        message = new FileStored(id);
        return read;
    }
}

/// <summary>Agent → collector: the file changed or vanished while it was sent; what came of it is void.</summary>
public readonly record struct FileGone(uint Id) : IMessage<FileGone>
{
    public static MessageType Type => MessageType.FileGone;

    public int Fields => 1;

    public void Write(ref FrameWriter writer) => writer.Write(Id);

    public static bool TryRead(ref FrameReader reader, out FileGone message)
    {
        bool read = reader.TryRead(out uint id);
        message = new FileGone(id);
        return read;
    }
}
