using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.Tracing;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>
/// Strategy S3, for kernels whose splice to a socket sends each page by itself (before 6.5): up to 64 KiB of sub-buffers are read, then sent at once.
/// read() cannot tell a full sub-buffer from the one being written; one that is at most half full ends the burst and travels as a tail.
/// </summary>
internal sealed unsafe class ReadStage(int trace, int subBufferBytes)
    : RecordStage(trace, subBufferBytes, BurstBytes + BulkRecord.TailPrefixBytes + subBufferBytes)
{
    private const int BurstBytes = 65536;

    private bool _mayHaveMore;

    public override bool MayHaveMore => _mayHaveMore;

    public override int Fill()
    {
        int end = 0;
        _mayHaveMore = true;
        while (end < BurstBytes && _mayHaveMore)
        {
            // Exactly one sub-buffer, see SpliceStage. Expected: EAGAIN or 0, the ring is empty.
            byte* at = Buffer + end;
            int n = Sys.Read(Trace, at, SubBufferBytes);
            if (n <= 0)
            {
                _mayHaveMore = false;
                if (n is 0 or -Errno.EAGAIN || end > 0)
                {
                    break;
                }
                return n;
            }
            int used = new SubBuffer(new ReadOnlySpan<byte>(at, SubBuffer.HeaderBytes)).UsedBytes;
            if (used > SubBufferBytes / 2)
            {
                end += SubBufferBytes;
                continue;
            }
            new ReadOnlySpan<byte>(at, used).CopyTo(new Span<byte>(at + BulkRecord.TailPrefixBytes, used));
            end += MarkTail(at);
            _mayHaveMore = false;
        }
        Hold(end);
        return end;
    }

    /// <summary><see cref="Fill"/> has taken it already.</summary>
    public override int FillTail() => 0;
}
