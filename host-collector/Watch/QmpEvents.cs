using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace VsockPair.Watch;

/// <summary>What QEMU's events mean. Those that are not here say nothing of a crash, and are left out.</summary>
internal static class QmpEvents
{
    private const int MaxDetailChars = 1024;

    /// <summary>QEMU's own time stamps beyond this are none: it runs on this host.</summary>
    private static readonly TimeSpan MostClockDifference = TimeSpan.FromMinutes(1);

    public static bool TryMap(QmpMessage message, DateTimeOffset now, out MachineEvent known)
    {
        (MachineEventKind Kind, string? Detail)? found = message.Name switch
        {
            "GUEST_PANICKED" => (MachineEventKind.Panicked, InfoOf(message.Body)),
            "GUEST_CRASHLOADED" => (MachineEventKind.CrashLoaded, InfoOf(message.Body)),
            "WATCHDOG" => (MachineEventKind.Watchdog, TryParse(message.Body, QmpJson.Default.QmpAction)?.Action),
            "RESET" => (MachineEventKind.Reset, TryParse(message.Body, QmpJson.Default.QmpReason)?.Reason),
            "SHUTDOWN" => (MachineEventKind.Shutdown, TryParse(message.Body, QmpJson.Default.QmpReason)?.Reason),
            "STOP" => (MachineEventKind.Stopped, null),
            "RESUME" => (MachineEventKind.Resumed, null),
            _ => null,
        };
        known = found is var (kind, detail)
            ? new MachineEvent(kind, TimeOf(message, now), detail?.Length > MaxDetailChars ? detail[..MaxDetailChars] : detail)
            : default;
        return found is not null;
    }

    /// <param name="error">Why the dump has failed; null when it has not.</param>
    /// <returns>Whether the message is the end of a dump.</returns>
    public static bool TryReadDumpError(QmpMessage message, out string? error)
    {
        bool isEnd = message.Name == "DUMP_COMPLETED";
        error = isEnd ? TryParse(message.Body, QmpJson.Default.QmpDumpCompleted)?.Error : null;
        return isEnd;
    }

    private static DateTimeOffset TimeOf(QmpMessage message, DateTimeOffset now) =>
        message.Time is DateTimeOffset told && (told - now).Duration() <= MostClockDifference ? told : now;

    /// <summary>What a guest with a paravirtual crash interface says of its panic: absent for Linux on x86, of types that newer QEMUs add to.</summary>
    private static string? InfoOf(byte[] data)
    {
        if (data.Length == 0)
        {
            return null;
        }
        // It was read as part of its line, so it is JSON.
        Utf8JsonReader reader = new(data, new JsonReaderOptions { MaxDepth = QmpMessage.MaxDepth });
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool isInfo = reader.ValueTextEquals("info"u8);
            reader.Read();
            int start = (int)reader.TokenStartIndex;
            reader.Skip();
            if (isInfo)
            {
                return Encoding.UTF8.GetString(data, start, (int)reader.BytesConsumed - start);
            }
        }
        return null;
    }

    private static T? TryParse<T>(byte[] json, JsonTypeInfo<T> type) where T : class
    {
        try
        {
            return json.Length == 0 ? null : JsonSerializer.Deserialize(json, type);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
