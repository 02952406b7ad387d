using System.Net.Sockets;
using System.Text.Json;
using Microsoft.Extensions.Hosting;
using VsockPair.Linux;
using VsockPair.Sessions;

namespace VsockPair.Status;

/// <summary>
/// <c>control.sock</c> of <c>serve</c>, <c>watch.sock</c> of <c>watch</c>: one line in, one line out (or as many as there are), for this host's operators only (0660, in a
/// folder of its own).
/// </summary>
/// <param name="path">Whose lock is held, so that whatever is there was left by a process that has died.</param>
internal sealed class ControlServer(string path, IEnumerable<IControlAnswer> answers, IEnumerable<IControlStream> streams, FaultSignal faults) : BackgroundService
{
    private const int MaxRequestBytes = 16384;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan AcceptPause = TimeSpan.FromMilliseconds(100);

    private readonly Dictionary<string, IControlAnswer> _answers = answers.ToDictionary(a => a.Command);
    private readonly Dictionary<string, IControlStream> _streams = streams.ToDictionary(s => s.Command);
    private Socket? _listener;

    public override Task StartAsync(CancellationToken cancellationToken)
    {
        File.Delete(path);
        Fd fd = StreamSocket.ListenUnix(path);
        _listener = new Socket(new SafeSocketHandle(fd.Value, ownsHandle: true));
        fd.SetHandleAsInvalid();
        return base.StartAsync(cancellationToken);
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken).ConfigureAwait(false);
        _listener?.Dispose();
        File.Delete(path);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                if (await TryAcceptAsync(stoppingToken).ConfigureAwait(false) is Socket client)
                {
                    _ = AnswerAsync(client, stoppingToken);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The service stops.
        }
        catch (Exception e)
        {
            faults.Report(path, e);
        }
    }

    private async Task<Socket?> TryAcceptAsync(CancellationToken stoppingToken)
    {
        try
        {
            return await _listener!.AcceptAsync(stoppingToken).ConfigureAwait(false);
        }
        catch (SocketException)
        {
            // Out of descriptors, or the client went away: no reason to stop. The pause keeps it from turning in circles.
            await Task.Delay(AcceptPause, stoppingToken).ConfigureAwait(false);
            return null;
        }
    }

    private async Task AnswerAsync(Socket client, CancellationToken stop)
    {
        using Socket connection = client;
        try
        {
            byte[] request = new byte[MaxRequestBytes];
            int received = 0;
            using (CancellationTokenSource limit = new(Patience))
            {
                while (!request.AsSpan(0, received).Contains((byte)'\n'))
                {
                    int n = await client.ReceiveAsync(request.AsMemory(received), SocketFlags.None, limit.Token).ConfigureAwait(false);
                    if (n == 0)
                    {
                        return;
                    }
                    received += n;
                }
            }
            StreamSocket.PeerOf(client, out _, out uint user);
            await AnswerAsync(client, request.AsMemory(0, received), user, stop).ConfigureAwait(false);
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or JsonException)
        {
            // The client went away, took too long, or sent no request: closing is the answer.
        }
    }

    private async Task AnswerAsync(Socket client, ReadOnlyMemory<byte> line, uint user, CancellationToken stop)
    {
        string command = JsonSerializer.Deserialize(line.Span, ControlJson.Default.ControlRequest)?.Command ?? "";
        if (_answers.TryGetValue(command, out IControlAnswer? answer))
        {
            await SendLineAsync(client, await answer.AnswerAsync(line, user).ConfigureAwait(false)).ConfigureAwait(false);
        }
        else if (_streams.TryGetValue(command, out IControlStream? stream))
        {
            using CancellationTokenSource gone = CancellationTokenSource.CreateLinkedTokenSource(stop);
            Task watching = CancelWhenGoneAsync(client, gone);
            await foreach (byte[] next in stream.AnswerAsync(line, user, gone.Token).ConfigureAwait(false))
            {
                await SendLineAsync(client, next).ConfigureAwait(false);
            }
            await gone.CancelAsync().ConfigureAwait(false);
            await watching.ConfigureAwait(false);
        }
        else
        {
            await SendLineAsync(client, JsonSerializer.SerializeToUtf8Bytes(new ControlError("this service does not know that command"), ControlJson.Default.ControlError)).ConfigureAwait(false);
        }
    }

    /// <summary>Who listens to a stream says nothing more: whatever comes of it is its end.</summary>
    private static async Task CancelWhenGoneAsync(Socket client, CancellationTokenSource gone)
    {
        try
        {
            await client.ReceiveAsync(new byte[1], SocketFlags.None, gone.Token).ConfigureAwait(false);
            await gone.CancelAsync().ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // The stream has ended first.
        }
        catch (SocketException)
        {
            await gone.CancelAsync().ConfigureAwait(false);
        }
    }

    private static async Task SendLineAsync(Socket client, byte[] json)
    {
        byte[] line = [.. json, (byte)'\n'];
        using CancellationTokenSource limit = new(Patience);
        for (int sent = 0; sent < line.Length;)
        {
            sent += await client.SendAsync(line.AsMemory(sent), SocketFlags.None, limit.Token).ConfigureAwait(false);
        }
    }
}
