using VsockPair.GuestAgent.Connections;
using VsockPair.Linux;
using VsockPair.Protocol;
using static VsockPair.Linux.Constants;

namespace VsockPair.GuestAgent.Kmsg;

/// <summary>
/// <c>/dev/kmsg</c> → the session's kmsg connection, on a thread of its own. Everything from the oldest record on that the collector lacks;
/// it says which that is, so nothing is remembered here.
/// </summary>
internal sealed class KmsgStream(Fd file, IHostConnector host, WakeEvent owner) : SessionStream("kmsg", host, owner)
{
    private readonly KmsgReader _reader = new(file);
    private readonly KmsgWindow _window = new();

    protected override ConnectionKind Kind => ConnectionKind.Kmsg;

    protected override Hello BuildHello(SessionLink link) => new()
    {
        OldestVersion = Wire.OldestVersion,
        NewestVersion = Wire.NewestVersion,
        Kind = ConnectionKind.Kmsg,
        BootId = link.BootId,
        Token = link.Token,
    };

    protected override bool Run(Fd socket, in Welcome welcome, SessionLink link)
    {
        using FrameChannel channel = new(socket, Wake, _ => link.IsClosed);
        _reader.Restart(welcome.NextSequence);
        _window.Clear();
        while (!link.IsClosed)
        {
            if (link.Phase == SessionPhase.Ending)
            {
                FinishConnection(socket, link);
                return true;
            }
            bool hasRoom = _window.HasRoomFor(Wire.MaxKmsgBatchBytes);
            bool hasMore = hasRoom && _reader.ReadBatch();
            if (hasRoom && _reader.Batch.Length > 0)
            {
                channel.SendOutput(KmsgRecords.Encode(_reader.Batch, channel.Output));
                _window.Sent(_reader.LastSequence, _reader.Batch.Length);
            }
            if (!TakeAcknowledgements(channel))
            {
                return false;
            }
            if (link.Phase == SessionPhase.Draining && hasRoom && !hasMore && _window.IsEmpty)
            {
                FinishConnection(socket, link);
                return true;
            }
            if (!hasMore)
            {
                Wait(socket.Value, readsKmsg: _window.HasRoomFor(Wire.MaxKmsgBatchBytes));
            }
        }
        return true;
    }

    /// <returns>False when the collector has closed the connection.</returns>
    private bool TakeAcknowledgements(FrameChannel channel)
    {
        bool open = channel.Receive();
        while (channel.TryTake(out ReadOnlySpan<byte> body))
        {
            if (!Frame.TryReadType(body, out MessageType type))
            {
                throw FrameChannel.BadFrame();
            }
            if (type == MessageType.KmsgAck)
            {
                _window.Acknowledge(Frame.TryDecode(body, out KmsgAck ack) ? ack.Sequence : throw FrameChannel.BadFrame());
            }
        }
        return open;
    }

    private void Wait(int socket, bool readsKmsg)
    {
        Span<PollFd> fds =
        [
            new PollFd { Fd = Wake.FdValue, Events = POLLIN },
            new PollFd { Fd = socket, Events = POLLIN },
            new PollFd { Fd = _reader.Descriptor, Events = POLLIN },
        ];
        LinuxException.Check(Sys.Poll(readsKmsg ? fds : fds[..2], -1), "poll", Name);
        if (fds[0].Revents != 0)
        {
            Wake.Clear();
        }
    }
}
