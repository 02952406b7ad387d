namespace VsockPair.Protocol;

/// <summary>One message of PROTOCOL.md: how its fields are written and read, in order.</summary>
public interface IMessage<TSelf>
    where TSelf : struct, IMessage<TSelf>
{
    static abstract MessageType Type { get; }

    int Fields { get; }

    void Write(ref FrameWriter writer);

    /// <summary>False when a field is missing, of another kind, or beyond its limit. More fields than known are fine.</summary>
    static abstract bool TryRead(ref FrameReader reader, out TSelf message);
}
