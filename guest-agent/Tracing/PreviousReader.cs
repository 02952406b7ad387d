using System.Globalization;
using System.Text;
using VsockPair.Linux;
using VsockPair.Tracing;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>One CPU's ring after the other, sub-buffer by sub-buffer, into files of bounded size, of which the oldest goes when there are too many.</summary>
internal sealed unsafe class PreviousReader
{
    private const int PartBytes = 4 << 20;
    private const int FewestParts = 4;

    /// <summary>More than any ring in memory that somebody reserved: one that fills while it is read is not read for ever.</summary>
    private const int MostSubBuffersOfCpu = 1 << 20;

    private readonly byte[] _subBuffer;
    private readonly int _subBuffersOfPart;
    private readonly long _mostParts;

    public PreviousReader(int subBufferBytes, long mostBytesOfCpu)
    {
        _subBuffer = GC.AllocateUninitializedArray<byte>(subBufferBytes, pinned: true);
        _subBuffersOfPart = (int)Math.Max(1, Math.Min(PartBytes, mostBytesOfCpu / FewestParts) / subBufferBytes);
        _mostParts = Math.Max(1, mostBytesOfCpu / ((long)_subBuffersOfPart * subBufferBytes));
    }

    /// <summary>What an agent has written into the ring of the boot that it was in, the last one seen: a line of <c>info</c>. Null where there is none.</summary>
    public string? Mark { get; private set; }

    public long Kept { get; private set; }

    /// <summary>Older ones, for which there was no room.</summary>
    public long Dropped { get; private set; }

    /// <exception cref="LinuxException">The ring cannot be read, or the folder not be written.</exception>
    public void Take(string pipe, string folder)
    {
        using Fd trace = Fd.Own(Sys.Open(pipe, Constants.O_RDONLY | Constants.O_NONBLOCK), "open", pipe);
        Queue<string> parts = [];
        Fd? part = null;
        try
        {
            for (int taken = 0; taken < MostSubBuffersOfCpu && TryRead(trace, pipe, out ulong timeStamp); taken++)
            {
                if (taken % _subBuffersOfPart == 0)
                {
                    part?.Dispose();
                    part = Begin(folder, timeStamp, parts);
                }
                fixed (byte* p = _subBuffer)
                {
                    LinuxException.Check(Sys.Write(part!.Value, p, _subBuffer.Length), "write", folder);
                }
                Kept++;
            }
        }
        finally
        {
            part?.Dispose();
        }
    }

    // Exactly one sub-buffer, as SpliceStage reads them.
    private bool TryRead(Fd trace, string pipe, out ulong timeStamp)
    {
        timeStamp = 0;
        int n;
        fixed (byte* p = _subBuffer)
        {
            n = Sys.Read(trace.Value, p, _subBuffer.Length);
        }
        if (n is 0 or -Errno.EAGAIN)
        {
            return false;
        }
        LinuxException.Check(n, "read", pipe);
        SubBuffer header = new(_subBuffer);
        if (n < SubBuffer.HeaderBytes || header.UsedBytes > n)
        {
            throw new LinuxException("read", Errno.EINVAL, $"{pipe}: not a sub-buffer");
        }
        // What lies behind its events is of an earlier use of this memory.
        _subBuffer.AsSpan(header.UsedBytes).Clear();
        FindMark(_subBuffer.AsSpan(0, header.UsedBytes));
        timeStamp = header.TimeStamp;
        return true;
    }

    private Fd Begin(string folder, ulong timeStamp, Queue<string> parts)
    {
        if (parts.Count == _mostParts)
        {
            File.Delete(parts.Dequeue());
            Dropped += _subBuffersOfPart;
            Kept -= _subBuffersOfPart;
        }
        while (true)
        {
            // A format like D20 would bring all of the library's number formats into the agent.
            string path = $"{folder}/{timeStamp.ToString(CultureInfo.InvariantCulture).PadLeft(20, '0')}-{_subBuffer.Length}.pages";
            int file = Sys.Open(path, Constants.O_WRONLY | Constants.O_CREAT | Constants.O_EXCL, 0x180);
            if (file != -Errno.EEXIST)
            {
                parts.Enqueue(path);
                return Fd.Own(file, "open", path);
            }
            // Names rise with time; where two would meet, the later one takes the next.
            timeStamp++;
        }
    }

    private void FindMark(ReadOnlySpan<byte> events)
    {
        int at = events.LastIndexOf(PreviousTrace.MarkBegins);
        int length = at < 0 ? -1 : events[at..].IndexOf((byte)'\n');
        if (length > 0)
        {
            Mark = Encoding.UTF8.GetString(events.Slice(at + PreviousTrace.MarkBegins.Length, length - PreviousTrace.MarkBegins.Length + 1));
        }
    }
}
