using VsockPair.Tracing;

namespace VsockPair.Decoding;

/// <summary>
/// Prints events as <c>trace-cmd report</c> does. One thread at a time; keeps nothing of an event.
/// </summary>
public sealed class EventText(EventCatalog catalog)
{
    /// <summary>Appends what trace-cmd prints after the event's name.</summary>
    public void AppendFields(TextLine target, in RingEvent ringEvent)
    {
        if (catalog.Find(ringEvent.Id) is not { } format)
        {
            target.Append("[UNKNOWN EVENT]"u8);
            return;
        }
        foreach (FieldFormat field in format.Fields)
        {
            if (!field.IsCommon)
            {
                AppendField(target, field, ringEvent.Payload);
            }
        }
    }

    private static void AppendField(TextLine target, FieldFormat field, ReadOnlySpan<byte> payload)
    {
        target.Append(' ');
        target.AppendLatin1(field.Name);
        target.Append('=');
        if (field.IsText)
        {
            target.Append(field.Text(payload));
        }
        else
        {
            target.AppendDecimal(field.Number(payload));
        }
    }
}
