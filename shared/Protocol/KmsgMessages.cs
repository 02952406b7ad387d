namespace VsockPair.Protocol;

/// <summary>
/// Agent → collector: kernel log records, each exactly as one <c>read()</c> of <c>/dev/kmsg</c> returned it, one after the other.
/// The kernel escapes every byte of a text below 0x20, so a record ends before the next line that does not begin with a space.
/// </summary>
public static class KmsgRecords
{
    /// <param name="records">1 to <see cref="Wire.MaxKmsgBatchBytes"/> bytes of whole records.</param>
    public static int Encode(ReadOnlySpan<byte> records, Span<byte> buffer)
    {
        FrameWriter writer = new(buffer, MessageType.KmsgRecords, 1);
        writer.Write(records);
        return writer.Finish();
    }

    /// <param name="records">Valid as long as the body is.</param>
    public static bool TryDecode(ReadOnlySpan<byte> body, out ReadOnlySpan<byte> records)
    {
        FrameReader reader = new(body);
        records = default;
        return reader.TryReadType(out MessageType type, out int fields) && type == MessageType.KmsgRecords && fields >= 1
            && reader.TryReadBytes(Wire.MaxKmsgBatchBytes, out records) && records.Length > 0;
    }
}

/// <summary>Collector → agent: every record up to and with this sequence number is written.</summary>
public readonly record struct KmsgAck(ulong Sequence) : IMessage<KmsgAck>
{
    public static MessageType Type => MessageType.KmsgAck;

    public int Fields => 1;

    public void Write(ref FrameWriter writer) => writer.Write(Sequence);

    public static bool TryRead(ref FrameReader reader, out KmsgAck message)
    {
        bool read = reader.TryRead(out ulong sequence);
        message = new KmsgAck(sequence);
        return read;
    }
}
