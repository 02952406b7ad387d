namespace VsockPair.Tracing;

/// <summary>Counts the events of a sub-buffer, for the accounts.</summary>
public static class SubBufferEvents
{
    /// <summary>Counts the events that the kernel's own <c>read events</c> counts: data, neither padding nor time stamps.</summary>
    /// <param name="data">The events without the header: <see cref="SubBuffer.DataBytes"/> bytes.</param>
    /// <param name="count">Events up to the end, or to the first fault.</param>
    /// <returns>False when a length leads out of the data.</returns>
    public static bool TryCount(ReadOnlySpan<byte> data, out int count)
    {
        count = 0;
        EventCursor cursor = EventCursor.OverData(data);
        while (cursor.TryRead(out _))
        {
            count++;
        }
        return !cursor.IsMalformed;
    }
}
