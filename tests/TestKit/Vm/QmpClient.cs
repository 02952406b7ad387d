using System.Text;
using System.Text.Json.Nodes;

namespace VsockPair.TestKit.Vm;

/// <summary>An event that QEMU sent on its machine protocol.</summary>
public sealed record QmpEvent(string Name, JsonObject? Data);

/// <summary>A small client for QEMU's machine protocol: one command at a time, and every event kept.</summary>
public sealed class QmpClient : IDisposable
{
    private readonly Stream _stream;
    private readonly SemaphoreSlim _oneCommand = new(1);
    private readonly Lock _lock = new();
    private readonly List<QmpEvent> _events = [];
    private TaskCompletionSource<JsonObject>? _answer;
    private TaskCompletionSource _eventCame = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal QmpClient(Stream stream) => _stream = stream;

    /// <summary>Called on the reader for each event, before those who wait for it go on.</summary>
    internal Action<QmpEvent>? EventReceived { get; set; }

    public IReadOnlyList<QmpEvent> Events
    {
        get
        {
            lock (_lock)
            {
                return [.. _events];
            }
        }
    }

    /// <summary>Executes a command and returns what QEMU answered under "return".</summary>
    public async Task<JsonNode?> ExecuteAsync(string command, JsonObject? arguments = null, CancellationToken cancellationToken = default)
    {
        await _oneCommand.WaitAsync(cancellationToken);
        try
        {
            var answer = new TaskCompletionSource<JsonObject>(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_lock)
            {
                _answer = answer;
            }

            var message = new JsonObject { ["execute"] = command };
            if (arguments is not null)
            {
                message["arguments"] = arguments;
            }

            await _stream.WriteAsync(Encoding.UTF8.GetBytes(message.ToJsonString() + "\n"), CancellationToken.None);
            JsonObject reply = await answer.Task.WaitAsync(TimeSpan.FromMinutes(1), cancellationToken);
            return reply["error"] is JsonObject error
                ? throw new InvalidOperationException($"QMP {command} failed: {error["desc"]}")
                : reply["return"];
        }
        finally
        {
            _oneCommand.Release();
        }
    }

    /// <summary>The first event of that name among those from index <paramref name="start"/> of <see cref="Events"/> on.</summary>
    public async Task<QmpEvent> WaitForEventAsync(string name, TimeSpan timeout, int start = 0)
    {
        using var limit = new CancellationTokenSource(timeout);
        while (true)
        {
            Task eventCame;
            lock (_lock)
            {
                if (_events.Skip(start).FirstOrDefault(candidate => candidate.Name == name) is { } found)
                {
                    return found;
                }

                eventCame = _eventCame.Task;
            }

            try
            {
                await eventCame.WaitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"no QMP event {name} within {timeout.TotalSeconds:0.#} s; seen: {string.Join(", ", Events.Select(e => e.Name))}");
            }
        }
    }

    public void Dispose()
    {
        _stream.Dispose();
        _oneCommand.Dispose();
    }

    /// <summary>Until this QEMU executes nothing and sends no events.</summary>
    internal Task NegotiateAsync(CancellationToken cancellationToken) => ExecuteAsync("qmp_capabilities", null, cancellationToken);

    internal async Task ReadAsync()
    {
        using var reader = new StreamReader(_stream, Encoding.UTF8, leaveOpen: true);
        while (await reader.ReadLineAsync() is { } line)
        {
            if (line.Length > 0 && JsonNode.Parse(line) is JsonObject message)
            {
                Receive(message);
            }
        }
    }

    private void Receive(JsonObject message)
    {
        if (message["event"] is { } name)
        {
            var received = new QmpEvent(name.GetValue<string>(), message["data"] as JsonObject);
            EventReceived?.Invoke(received);
            TaskCompletionSource eventCame;
            lock (_lock)
            {
                _events.Add(received);
                eventCame = _eventCame;
                _eventCame = new(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            eventCame.SetResult();
        }
        else if (message.ContainsKey("return") || message.ContainsKey("error"))
        {
            lock (_lock)
            {
                _answer?.TrySetResult(message);
            }
        }
    }
}
