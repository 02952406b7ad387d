using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Threading.Channels;
using VsockPair.Cases;
using VsockPair.Storage;

namespace VsockPair.Watch;

/// <summary>One line of <c>{"command":"events"}</c> at <c>watch.sock</c>.</summary>
internal sealed record WatchEvent
{
    public const string MachineConnected = "machine-connected";
    public const string MachineGone = "machine-gone";
    public const string CaseOpened = "case-opened";
    public const string CaseMemory = "case-memory";
    public const string CaseReleased = "case-released";
    public const string CaseClosed = "case-closed";

    public required DateTimeOffset Time { get; init; }

    public required string Event { get; init; }

    public required string Guest { get; init; }

    /// <summary>As in event.json at that moment; null for machines.</summary>
    public CaseEvent? Case { get; init; }

    public static WatchEvent OfCase(string name, CaseFolder file, DateTimeOffset time) => new() { Time = time, Event = name, Guest = file.Event.Guest, Case = file.Event };
}

/// <summary>Tells those who listen at <c>watch.sock</c>. One that does not read is dropped: it can look at the files.</summary>
internal sealed class EventFeed
{
    private const int Pending = 256;

    private readonly ConcurrentDictionary<Channel<byte[]>, bool> _listeners = new();

    public void Publish(WatchEvent watchEvent)
    {
        byte[] line = JsonSerializer.SerializeToUtf8Bytes(watchEvent, WatchJson.Default.WatchEvent);
        foreach (Channel<byte[]> listener in _listeners.Keys)
        {
            if (!listener.Writer.TryWrite(line))
            {
                listener.Writer.TryComplete();
            }
        }
    }

    /// <summary>Lines from now on, until the token ends it.</summary>
    public async IAsyncEnumerable<byte[]> ListenAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken stop)
    {
        Channel<byte[]> listener = Channel.CreateBounded<byte[]>(Pending);
        _listeners[listener] = true;
        try
        {
            await foreach (byte[] line in listener.Reader.ReadAllAsync(stop).ConfigureAwait(false))
            {
                yield return line;
            }
        }
        finally
        {
            _listeners.TryRemove(listener, out _);
        }
    }
}

/// <summary>JSON of <c>watch.sock</c> and of <c>Exec</c>'s standard input, one line each, without reflection.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true, Converters = [typeof(RfcTimeConverter)])]
[JsonSerializable(typeof(WatchEvent))]
[JsonSerializable(typeof(WatchStatus))]
[JsonSerializable(typeof(DumpRequest))]
[JsonSerializable(typeof(DumpProgress))]
[JsonSerializable(typeof(CaseReport))]
internal sealed partial class WatchJson : JsonSerializerContext;
