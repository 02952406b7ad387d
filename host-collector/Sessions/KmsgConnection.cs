using VsockPair.Protocol;
using VsockPair.Storage;

namespace VsockPair.Sessions;

/// <summary>The kernel log's connection: records in, acknowledgements out once they are written. While the disk is full nothing is acknowledged and nothing more is read.</summary>
internal sealed class KmsgConnection(GuestSession session)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    private readonly KmsgStream _stream = session.Boot.Kmsg();

    public async Task RunAsync(PeerConnection peer, Welcome welcome)
    {
        using FrameConnection connection = new(peer);
        if (!session.TryAdoptKmsg(connection))
        {
            return;
        }
        connection.TrySend(welcome);
        do
        {
            while (TakeFrames(connection) is Outcome outcome and not Outcome.NeedsMore)
            {
                if (outcome == Outcome.Closed)
                {
                    session.KmsgEnded(connection);
                    return;
                }
                await Task.Delay(Pause).ConfigureAwait(false);
            }
            while (!session.Guest.KmsgBudget.HasRoom)
            {
                await Task.Delay(Pause).ConfigureAwait(false);
            }
        }
        while (await connection.ReceiveAsync().ConfigureAwait(false));
        session.KmsgEnded(connection);
    }

    private enum Outcome
    {
        NeedsMore,
        DiskFull,
        Closed,
    }

    private byte[]? _held;

    private Outcome TakeFrames(FrameConnection connection)
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
        while (connection.TryTake(out ReadOnlySpan<byte> body) is FrameState state and not FrameState.Incomplete)
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
            session.Guest.KmsgBudget.Take(records.Length);
            if (!Store(records, ref stored, out Outcome outcome))
            {
                _held = outcome == Outcome.DiskFull ? records.ToArray() : null;
                Acknowledge(connection, stored);
                return outcome;
            }
        }
        return Acknowledge(connection, stored) ? Outcome.NeedsMore : Report(Violation.NeverReads);
    }

    private bool Store(ReadOnlySpan<byte> records, ref bool stored, out Outcome outcome)
    {
        AppendState state = _stream.Append(records);
        outcome = state switch
        {
            AppendState.Malformed => Report(Violation.BadKmsgRecord),
            AppendState.DiskFull => Outcome.DiskFull,
            _ => Outcome.NeedsMore,
        };
        stored |= state == AppendState.Stored;
        return state == AppendState.Stored;
    }

    private bool Acknowledge(FrameConnection connection, bool stored) => !stored || connection.TrySend(new KmsgAck(_stream.NextSequence - 1));

    private Outcome Report(Violation violation)
    {
        session.Guest.Report(violation, KmsgStream.Name);
        return Outcome.Closed;
    }
}
