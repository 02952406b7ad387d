using VsockPair.Protocol;
using VsockPair.Storage;

namespace VsockPair.Sessions;

/// <summary>
/// The kernel log's connection: records in, acknowledgements out once they are written. While the disk does not take them nothing is acknowledged and nothing more is read.
/// <see cref="DrainAsync"/> ends it: what has arrived already is stored first, for whoever comes next is told the first record that is lacking.
/// </summary>
internal sealed class KmsgConnection(GuestSession session, KmsgStream stream, FrameConnection connection) : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    /// <summary>Silence of this length while draining is the end: nothing was on its way any more.</summary>
    private static readonly TimeSpan DrainSilence = TimeSpan.FromMilliseconds(100);

    /// <summary>Twice what an agent may leave unacknowledged (PROTOCOL.md §7).</summary>
    private const long MaxDrainBytes = 512 << 10;

    private readonly CancellationTokenSource _drain = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _drainedBytes;

    /// <param name="welcome">Made once every older connection has ended.</param>
    public async Task RunAsync(Welcome welcome)
    {
        try
        {
            connection.TrySend(welcome);
            await ReceiveAsync().ConfigureAwait(false);
        }
        finally
        {
            connection.Dispose();
            session.KmsgEnded(this);
            _ended.TrySetResult();
        }
    }

    /// <summary>Stores what has arrived, within 2 s, and closes. From any thread.</summary>
    public async Task DrainAsync()
    {
        await _drain.CancelAsync().ConfigureAwait(false);
        await Task.WhenAny(_ended.Task, Task.Delay(Wire.DrainTimeout)).ConfigureAwait(false);
        connection.Dispose();
        // A write under way is waited for once more; a disk that hangs holds up nobody.
        await Task.WhenAny(_ended.Task, Task.Delay(Wire.DrainTimeout)).ConfigureAwait(false);
        session.KmsgEnded(this);
    }

    public bool IsStalled(TimeSpan limit) => connection.IsStalled(limit);

    /// <summary>Closes at once. The drain's token is left alone: whoever drains may come later.</summary>
    public void Dispose() => connection.Dispose();

    private async Task ReceiveAsync()
    {
        while (!connection.Closed.IsCancellationRequested)
        {
            Outcome outcome = TakeFrames();
            if (outcome == Outcome.Closed || (outcome == Outcome.NotStored && _drain.IsCancellationRequested))
            {
                return;
            }
            if (outcome == Outcome.NotStored || !MayReceive)
            {
                await PauseAsync().ConfigureAwait(false);
            }
            else if (!await connection.ReceiveAsync(_drain.Token).ConfigureAwait(false) && !await ReceiveLastAsync().ConfigureAwait(false))
            {
                return;
            }
        }
    }

    private bool MayReceive => _drain.IsCancellationRequested || session.Guest.KmsgBudget.HasRoom;

    private async Task<bool> ReceiveLastAsync()
    {
        if (!_drain.IsCancellationRequested || _drainedBytes >= MaxDrainBytes)
        {
            return false;
        }
        using CancellationTokenSource silence = new(DrainSilence);
        return await connection.ReceiveAsync(silence.Token).ConfigureAwait(false);
    }

    private async Task PauseAsync()
    {
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(connection.Closed, _drain.Token);
        await Task.Delay(Pause, either.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private enum Outcome
    {
        NeedsMore,
        NotStored,
        Closed,
    }

    private byte[]? _held;

    private Outcome TakeFrames()
    {
        bool stored = false;
        if (_held is not null)
        {
            if (!Store(_held, ref stored, out Outcome outcome))
            {
                return outcome;
            }
            _held = null;
        }
        while (connection.TryTake(session.Guest.KmsgBudget, out ReadOnlySpan<byte> body) is FrameState state and not FrameState.Incomplete)
        {
            if (state == FrameState.BadLength)
            {
                return Report(Violation.BadFrameLength);
            }
            if (!Frame.TryReadType(body, out MessageType type))
            {
                return Report(Violation.BadFrame);
            }
            if (type != MessageType.KmsgRecords)
            {
                if (Enum.IsDefined(type))
                {
                    return Report(Violation.UnexpectedMessage);
                }
                continue;
            }
            if (!KmsgRecords.TryDecode(body, out ReadOnlySpan<byte> records))
            {
                return Report(Violation.BadFrame);
            }
            _drainedBytes += _drain.IsCancellationRequested ? records.Length : 0;
            if (!Store(records, ref stored, out Outcome outcome))
            {
                _held = outcome == Outcome.NotStored ? records.ToArray() : null;
                Acknowledge(stored);
                return outcome;
            }
        }
        return Acknowledge(stored) ? Outcome.NeedsMore : Report(Violation.NeverReads);
    }

    private bool Store(ReadOnlySpan<byte> records, ref bool stored, out Outcome outcome)
    {
        AppendState state = stream.Append(records);
        outcome = state switch
        {
            AppendState.Malformed => Report(Violation.BadKmsgRecord),
            AppendState.DiskFull or AppendState.Behind => Outcome.NotStored,
            _ => Outcome.NeedsMore,
        };
        stored |= state == AppendState.Stored;
        return state == AppendState.Stored;
    }

    private bool Acknowledge(bool stored) => !stored || connection.TrySend(new KmsgAck(stream.NextSequence - 1));

    private Outcome Report(Violation violation)
    {
        session.Guest.Report(violation, KmsgStream.Name);
        return Outcome.Closed;
    }
}
