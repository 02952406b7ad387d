using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>
/// Strategies S1 and S2: full sub-buffers go from the ring through a pipe to the socket without passing through this process.
/// The pipe keeps its 64 KiB: with sub-buffers of that size it holds exactly one, which the kernel then recycles (its free_page cache).
/// </summary>
internal sealed unsafe class SpliceStage : RecordStage
{
    private const int PipeBytes = 65536;

    // One large sub-buffer at a time; of single pages as many as the pipe takes.
    private readonly int _spliceBytes;
    private readonly Fd _pipeOut;
    private readonly Fd _pipeIn;
    private int _inPipe;

    public SpliceStage(int trace, int subBufferBytes)
        : base(trace, subBufferBytes, BulkRecord.TailPrefixBytes + subBufferBytes)
    {
        _spliceBytes = subBufferBytes > Wire.MinSubBufferBytes ? subBufferBytes : PipeBytes;
        LinuxException.Check(Sys.Pipe(out int readEnd, out int writeEnd), "pipe2", "trace stage");
        _pipeOut = new Fd(readEnd);
        _pipeIn = new Fd(writeEnd);
    }

    public override bool IsEmpty => _inPipe == 0 && base.IsEmpty;

    public override bool MayHaveMore => true;

    public override int Fill()
    {
        // Expected: EAGAIN or 0, nothing is full (0 is not an end of file here). ENOMEM, no pages of the sub-buffer's order right now: splice needs
        // new ones each time, read() only for its first call on an open file, which keeps them (info->spare in tracing_buffers_read).
        int n = Sys.Splice(Trace, _pipeIn.Value, _spliceBytes, Constants.SPLICE_F_NONBLOCK);
        if (n == -Errno.ENOMEM)
        {
            return FillTail();
        }
        _inPipe = Math.Max(n, 0);
        return n == -Errno.EAGAIN ? 0 : n;
    }

    public override int FillTail()
    {
        // Exactly one sub-buffer: trace_pipe_raw would keep the rest of a shorter read for later, out of order with the splices.
        int n = Sys.Read(Trace, Buffer + BulkRecord.TailPrefixBytes, SubBufferBytes);
        if (n <= 0)
        {
            return n == -Errno.EAGAIN ? 0 : n;
        }
        int bytes = MarkTail(Buffer);
        Hold(bytes);
        return bytes;
    }

    public override int Send(int socket, int limit)
    {
        if (_inPipe == 0)
        {
            return base.Send(socket, limit);
        }
        int n = Sys.Splice(_pipeOut.Value, socket, Math.Min(limit, _inPipe), Constants.SPLICE_F_NONBLOCK);
        _inPipe -= Math.Max(n, 0);
        return n;
    }

    public override void Discard()
    {
        while (_inPipe > 0)
        {
            int n = LinuxException.Check(Sys.Read(_pipeOut.Value, Buffer, Math.Min(_inPipe, SubBufferBytes)), "read", "trace stage");
            _inPipe -= n;
        }
        base.Discard();
    }

    public override void Dispose()
    {
        _pipeOut.Dispose();
        _pipeIn.Dispose();
        base.Dispose();
    }
}
