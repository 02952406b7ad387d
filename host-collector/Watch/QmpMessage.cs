using System.Text.Json;

namespace VsockPair.Watch;

internal enum QmpMessageKind
{
    /// <summary>Valid JSON that says nothing to us.</summary>
    Unknown,
    Greeting,
    Event,
    Return,
    Error,
}

/// <summary>
/// One line of QEMU's machine protocol. QEMU is trusted with its own guest and nothing else: an escaped guest writes these lines (threat: it owns QEMU), so depth and
/// text are bounded here, the line itself by <see cref="QmpClient"/>.
/// </summary>
/// <param name="Name">Of an event; of an error, its description.</param>
/// <param name="Id">Of the command that is answered; null when it is none of ours.</param>
/// <param name="Body">Raw JSON under <c>return</c> or <c>data</c>; empty when there is none.</param>
internal readonly record struct QmpMessage(QmpMessageKind Kind, string Name, long? Id, DateTimeOffset? Time, byte[] Body)
{
    public const int MaxDepth = 32;

    private const int MaxTextBytes = 512;

    private static readonly JsonReaderOptions Bounded = new() { MaxDepth = MaxDepth };

    /// <returns>False when the line is no JSON object, or one that QEMU would not write.</returns>
    public static bool TryParse(ReadOnlySpan<byte> line, out QmpMessage message)
    {
        try
        {
            return TryRead(line, out message);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // No JSON, too deep, or text that is no UTF-8.
            message = default;
            return false;
        }
    }

    private static bool TryRead(ReadOnlySpan<byte> line, out QmpMessage message)
    {
        message = new QmpMessage(QmpMessageKind.Unknown, "", null, null, []);
        Utf8JsonReader reader = new(line, Bounded);
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
        {
            return false;
        }
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("id"u8))
            {
                reader.Read();
                message = message with { Id = reader.TokenType == JsonTokenType.Number && reader.TryGetInt64(out long id) ? id : null };
                reader.Skip();
            }
            else if (reader.ValueTextEquals("event"u8))
            {
                reader.Read();
                message = message with { Kind = QmpMessageKind.Event, Name = TextOf(ref reader) };
            }
            else if (reader.ValueTextEquals("timestamp"u8))
            {
                reader.Read();
                message = message with { Time = ReadTime(ref reader) };
            }
            else if (reader.ValueTextEquals("data"u8))
            {
                message = message with { Body = BodyOf(line, ref reader) };
            }
            else if (reader.ValueTextEquals("return"u8))
            {
                message = message with { Kind = QmpMessageKind.Return, Body = BodyOf(line, ref reader) };
            }
            else if (reader.ValueTextEquals("error"u8))
            {
                reader.Read();
                message = message with { Kind = QmpMessageKind.Error, Name = ReadDescription(ref reader) };
            }
            else
            {
                bool greets = reader.ValueTextEquals("QMP"u8);
                message = greets ? message with { Kind = QmpMessageKind.Greeting } : message;
                reader.Skip();
            }
        }
        // Reads to the end: whatever follows the object makes it no line of QEMU's.
        return !reader.Read();
    }

    /// <summary>The value of a property, as it stands in the line.</summary>
    private static byte[] BodyOf(ReadOnlySpan<byte> line, ref Utf8JsonReader reader)
    {
        reader.Read();
        int start = (int)reader.TokenStartIndex;
        reader.Skip();
        return line[start..(int)reader.BytesConsumed].ToArray();
    }

    private static DateTimeOffset? ReadTime(ref Utf8JsonReader reader)
    {
        long seconds = -1;
        long microseconds = 0;
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            reader.Skip();
            return null;
        }
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool isSeconds = reader.ValueTextEquals("seconds"u8);
            bool isMicroseconds = reader.ValueTextEquals("microseconds"u8);
            reader.Read();
            if (reader.TokenType == JsonTokenType.Number && reader.TryGetInt64(out long value))
            {
                seconds = isSeconds ? value : seconds;
                microseconds = isMicroseconds ? value : microseconds;
            }
            reader.Skip();
        }
        return seconds < 0 || seconds > DateTimeOffset.MaxValue.ToUnixTimeSeconds() || microseconds is < 0 or >= 1_000_000
            ? null
            : DateTimeOffset.FromUnixTimeSeconds(seconds).AddTicks(microseconds * TimeSpan.TicksPerMicrosecond);
    }

    private static string ReadDescription(ref Utf8JsonReader reader)
    {
        string description = "";
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            reader.Skip();
            return description;
        }
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool isDescription = reader.ValueTextEquals("desc"u8);
            reader.Read();
            if (isDescription)
            {
                description = TextOf(ref reader);
            }
            else
            {
                reader.Skip();
            }
        }
        return description;
    }

    /// <summary>A text; empty for what is none, or too long to be one of QEMU's.</summary>
    private static string TextOf(ref Utf8JsonReader reader)
    {
        if (reader.TokenType == JsonTokenType.String && reader.ValueSpan.Length <= MaxTextBytes)
        {
            return reader.GetString()!;
        }
        reader.Skip();
        return "";
    }
}
