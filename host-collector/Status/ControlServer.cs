using System.Net.Sockets;
using System.Text.Json;
using Microsoft.Extensions.Hosting;
using VsockPair.Linux;
using VsockPair.Sessions;
using VsockPair.Storage;

namespace VsockPair.Status;

/// <summary><c>control.sock</c>: one line in, one line out, for this host's operators only (0660, in a folder of its own).</summary>
internal sealed class ControlServer(CollectorStore store, IEnumerable<IControlAnswer> answers, FaultSignal faults) : BackgroundService
{
    private const int MaxRequestBytes = 16384;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan AcceptPause = TimeSpan.FromMilliseconds(100);

    private readonly Dictionary<string, IControlAnswer> _answers = answers.ToDictionary(a => a.Command);
    private Socket? _listener;

    private string SocketPath => StorePaths.ControlSocket(store.Folder);

    public override Task StartAsync(CancellationToken cancellationToken)
    {
        // The store's lock is ours, so whatever is there was left by a dead collector.
        File.Delete(SocketPath);
        Fd fd = StreamSocket.ListenUnix(SocketPath);
        _listener = new Socket(new SafeSocketHandle(fd.Value, ownsHandle: true));
        fd.SetHandleAsInvalid();
        return base.StartAsync(cancellationToken);
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken).ConfigureAwait(false);
        _listener?.Dispose();
        File.Delete(SocketPath);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                if (await TryAcceptAsync(stoppingToken).ConfigureAwait(false) is Socket client)
                {
                    _ = AnswerAsync(client);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The collector stops.
        }
        catch (Exception e)
        {
            faults.Report("control.sock", e);
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
            // Out of descriptors, or the client went away: no reason to stop collecting. The pause keeps it from turning in circles.
            await Task.Delay(AcceptPause, stoppingToken).ConfigureAwait(false);
            return null;
        }
    }

    private async Task AnswerAsync(Socket client)
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
            byte[] answer = await AnswerAsync(request.AsMemory(0, received), user).ConfigureAwait(false);
            using CancellationTokenSource sending = new(Patience);
            for (int sent = 0; sent < answer.Length;)
            {
                sent += await client.SendAsync(answer.AsMemory(sent), SocketFlags.None, sending.Token).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or JsonException)
        {
            // The client went away, took too long, or sent no request: closing is the answer.
        }
    }

    private async Task<byte[]> AnswerAsync(ReadOnlyMemory<byte> line, uint uid)
    {
        ControlRequest? request = JsonSerializer.Deserialize(line.Span, ControlJson.Default.ControlRequest);
        byte[] answer = request is not null && _answers.TryGetValue(request.Command, out IControlAnswer? known)
            ? await known.AnswerAsync(line, uid).ConfigureAwait(false)
            : JsonSerializer.SerializeToUtf8Bytes(new ControlError("this collector does not know that command"), ControlJson.Default.ControlError);
        return [.. answer, (byte)'\n'];
    }
}
