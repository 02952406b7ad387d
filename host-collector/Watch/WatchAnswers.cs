using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using VsockPair.Linux;
using VsockPair.Options;
using VsockPair.Status;

namespace VsockPair.Watch;

/// <summary><c>{"command":"status"}</c> at <c>watch.sock</c>.</summary>
internal sealed class WatchStatusAnswer(MachineFinder machines, CaseCloser closer, TimeProvider time) : IControlAnswer
{
    private readonly DateTimeOffset _started = time.GetUtcNow();

    public string Command => WatchStatus.Command;

    public Task<byte[]> AnswerAsync(ReadOnlyMemory<byte> line, uint uid) => Task.FromResult(JsonSerializer.SerializeToUtf8Bytes(new WatchStatus
    {
        Version = typeof(WatchStatusAnswer).Assembly.GetName().Version!.ToString(3),
        ProcessId = Environment.ProcessId,
        Started = _started,
        OpenCases = [.. closer.Open.Select(c => c.Id)],
        Machines = [.. machines.Machines],
    }, WatchJson.Default.WatchStatus));
}

/// <summary><c>{"command":"events"}</c>: what happens from now on, a line each (<see cref="WatchEvent"/>).</summary>
internal sealed class EventsAnswer(EventFeed feed) : IControlStream
{
    public string Command => "events";

    public IAsyncEnumerable<byte[]> AnswerAsync(ReadOnlyMemory<byte> line, uint uid, CancellationToken gone) => feed.ListenAsync(gone);
}

/// <summary><c>{"command":"dump",…}</c>: what it would cost, or the memory of a guest that runs. A dump that was begun goes on when the client is gone.</summary>
internal sealed class DumpAnswer(MachineFinder machines, PauseEstimate pauses, CollectorOptions options, ILogger<DumpAnswer> log) : IControlStream
{
    private static readonly TimeSpan ShowInterval = TimeSpan.FromMilliseconds(200);

    public string Command => DumpRequest.Name;

    public async IAsyncEnumerable<byte[]> AnswerAsync(ReadOnlyMemory<byte> line, uint uid, [EnumeratorCancellation] CancellationToken gone)
    {
        DumpRequest request = JsonSerializer.Deserialize(line.Span, WatchJson.Default.DumpRequest) ?? throw new JsonException();
        MachineWatch? machine = machines.Find(request.Guest);
        if (machine?.Status is not { ConnectedSince: not null, MemoryBytes: long bytes })
        {
            yield return Line(new DumpProgress { Error = machine?.Status.Fault ?? "watch is not connected to a machine of that name" });
            yield break;
        }
        if (!request.Confirmed)
        {
            yield return Line(new DumpProgress { MemoryBytes = bytes, ExpectedSeconds = pauses.Of(bytes).TotalSeconds, Error = WhyNoRoom(bytes) });
            yield break;
        }
        Channel<DumpProgress> progress = Channel.CreateBounded<DumpProgress>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest });
        DumpOrder order = new(new MemoryCapture.Progress(p => progress.Writer.TryWrite(new DumpProgress { Done = p.Done, Total = p.Total })));
        if (!machine.TryOrder(order))
        {
            yield return Line(new DumpProgress { Error = "another dump of this guest is waiting" });
            yield break;
        }
        log.DumpOrdered(request.Guest, uid);
        while (!order.Result.Task.IsCompleted)
        {
            await Task.WhenAny(order.Result.Task, Task.Delay(ShowInterval, gone)).ConfigureAwait(false);
            gone.ThrowIfCancellationRequested();
            if (progress.Reader.TryRead(out DumpProgress? step))
            {
                yield return Line(step);
            }
        }
        yield return Line(await ResultAsync(order).ConfigureAwait(false));
    }

    private static async Task<DumpProgress> ResultAsync(DumpOrder order)
    {
        try
        {
            return new DumpProgress { Case = (await order.Result.Task.ConfigureAwait(false)).Event };
        }
        catch (Exception e) when (e is MachineException or IOException or UnauthorizedAccessException)
        {
            return new DumpProgress { Error = e.Message };
        }
    }

    private string? WhyNoRoom(long bytes)
    {
        try
        {
            return MemoryCapture.WhyNoRoom(options, bytes);
        }
        catch (LinuxException e)
        {
            return e.Message;
        }
    }

    private static byte[] Line(DumpProgress progress) => JsonSerializer.SerializeToUtf8Bytes(progress, WatchJson.Default.DumpProgress);
}
