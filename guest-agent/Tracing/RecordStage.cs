using System.Runtime.InteropServices;
using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.Tracing;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>
/// Between a ring and a socket: takes whole records out of the ring and sends them on, in order. Holds at most what it has taken last, and takes
/// nothing before that is sent or discarded. Results are the kernel's: bytes, 0 for "nothing there", or a negative error number.
/// </summary>
internal abstract unsafe class RecordStage : IDisposable
{
    private const nuint PageBytes = 4096;
    private int _start;
    private int _end;

    protected RecordStage(int trace, int subBufferBytes, int bufferBytes)
    {
        Trace = trace;
        SubBufferBytes = subBufferBytes;
        Buffer = (byte*)NativeMemory.AlignedAlloc((nuint)bufferBytes, PageBytes);
    }

    /// <summary>The open <c>trace_pipe_raw</c>, non-blocking.</summary>
    protected int Trace { get; }

    protected int SubBufferBytes { get; }

    protected byte* Buffer { get; }

    /// <summary>Nothing taken out of the ring waits to be sent.</summary>
    public virtual bool IsEmpty => _start == _end;

    /// <summary>The last <see cref="Fill"/> may have left whole records in the ring.</summary>
    public abstract bool MayHaveMore { get; }

    /// <summary>Takes what is full.</summary>
    public abstract int Fill();

    /// <summary>Takes what a quiet vCPU has in a part-filled sub-buffer.</summary>
    public abstract int FillTail();

    /// <summary>Sends at most <paramref name="limit"/> bytes in one packet.</summary>
    public virtual int Send(int socket, int limit)
    {
        int n = Sys.Send(socket, Buffer + _start, Math.Min(limit, _end - _start), Constants.MSG_DONTWAIT);
        _start += Math.Max(n, 0);
        return n;
    }

    /// <summary>Throws away what is held: the rest of a record on a connection that broke.</summary>
    public virtual void Discard() => _start = _end;

    protected void Hold(int bytes)
    {
        _start = 0;
        _end = bytes;
    }

    /// <summary>Puts a tail's mark before the sub-buffer that was read to <paramref name="at"/> + <see cref="BulkRecord.TailPrefixBytes"/>.</summary>
    /// <returns>Bytes of the whole record.</returns>
    protected static int MarkTail(byte* at)
    {
        int used = new SubBuffer(new ReadOnlySpan<byte>(at + BulkRecord.TailPrefixBytes, SubBuffer.HeaderBytes)).UsedBytes;
        BulkRecord.WriteTailPrefix(new Span<byte>(at, BulkRecord.TailPrefixBytes), used);
        return BulkRecord.TailPrefixBytes + used;
    }

    public virtual void Dispose() => NativeMemory.AlignedFree(Buffer);
}
