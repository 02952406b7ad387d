using VsockPair.Linux;
using VsockPair.Protocol;
using static VsockPair.Linux.Constants;

namespace VsockPair.GuestAgent.Kmsg;

/// <summary>
/// Collects whole records of <c>/dev/kmsg</c> into batches for one frame each. The kernel keeps a position per open file; a record that was
/// overwritten before it could be read shows as EPIPE and as a gap in the sequence, which the collector counts.
/// </summary>
internal sealed unsafe class KmsgReader(Fd file) : IDisposable
{
    private readonly byte[] _batch = GC.AllocateUninitializedArray<byte>(Wire.MaxKmsgBatchBytes, pinned: true);
    private int _bytes;
    private ulong _next;

    public int Descriptor => file.Value;

    public ReadOnlySpan<byte> Batch => _batch.AsSpan(0, _bytes);

    /// <summary>Sequence of the batch's last record.</summary>
    public ulong LastSequence { get; private set; }

    /// <summary>Goes back to the oldest record, and skips what is below <paramref name="next"/>.</summary>
    public void Restart(ulong next)
    {
        // SEEK_SET 0 is the first record that the log still holds (devkmsg_llseek).
        long at = Sys.Seek(file.Value, 0, SEEK_SET);
        LinuxException.Check((int)Math.Min(at, 0), "lseek", "/dev/kmsg");
        _next = next;
        _bytes = 0;
    }

    /// <summary>Reads records until none is left or the batch is full.</summary>
    /// <returns>True when more may be there.</returns>
    public bool ReadBatch()
    {
        _bytes = 0;
        fixed (byte* p = _batch)
        {
            while (_batch.Length - _bytes >= Wire.MaxKmsgRecordBytes)
            {
                int n = Sys.Read(file.Value, p + _bytes, Wire.MaxKmsgRecordBytes);
                // EAGAIN: no more now. EPIPE: records were overwritten, the position is at the oldest left.
                // EINVAL: a record above 8 KiB, which no kernel writes; it is skipped and shows as a gap.
                if (n is 0 or -Errno.EAGAIN)
                {
                    return false;
                }
                if (n is -Errno.EPIPE or -Errno.EINVAL)
                {
                    continue;
                }
                LinuxException.Check(n, "read", "/dev/kmsg");
                if (KmsgRecord.TryReadSequence(_batch.AsSpan(_bytes, n), out ulong sequence) && sequence >= _next)
                {
                    _bytes += n;
                    _next = sequence + 1;
                    LastSequence = sequence;
                }
            }
        }
        return true;
    }

    public void Dispose() => file.Dispose();
}
