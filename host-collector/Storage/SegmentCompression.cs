using System.Security.Cryptography;
using VsockPair.Linux;
using static VsockPair.Linux.Constants;

namespace VsockPair.Storage;

/// <summary>How <see cref="SegmentCompression.Run"/> ended.</summary>
internal enum CompressionEnd
{
    Done,

    /// <summary>The segment is not there any more, or not closed.</summary>
    Gone,

    /// <summary>The segment is not what its sidecar says: it stays as it is.</summary>
    Damaged,
}

/// <summary>
/// Replaces closed segments by their compressed form: written beside, on the disk, read back and compared with the sidecar's hash, renamed, and only then the first form
/// goes. A kill at any point leaves at least one whole form. The compressor's thread; what needs the guest's files to stand still, which is a few system calls,
/// runs on the storage thread: a thread of idle priority must not hold a lock that others wait for.
/// </summary>
/// <param name="pace">Called after each frame, or as much as one; throws when it is time to stop.</param>
/// <param name="reached">Called between the steps: tests die there.</param>
internal sealed unsafe class SegmentCompression(StorageWorker worker, Action pace, Action<string>? reached = null) : IDisposable
{
    /// <summary>Measured on scheduler recordings: README, "The store".</summary>
    private const int Level = 3;

    private const uint Mode = 0x1A0; // 0640

    private readonly Zstd.Encoder _encoder = new(Level);
    private readonly byte[] _content = GC.AllocateUninitializedArray<byte>(SeekTable.MaxContentBytes, pinned: true);
    private readonly byte[] _frame = GC.AllocateUninitializedArray<byte>(Zstd.Encoder.MostBytes(SeekTable.MaxContentBytes), pinned: true);

    /// <exception cref="IOException">The disk does not take it, or does not give it.</exception>
    public CompressionEnd Run(GuestStore guest, string segment)
    {
        string unfinished = SegmentForms.UnfinishedPath(segment);
        if (!StorePaths.TryParseSegmentName(Path.GetFileName(segment.AsSpan()), out _, out int slotBytes) || Begin(guest, segment) is not Work work)
        {
            return CompressionEnd.Gone;
        }
        try
        {
            using (work)
            {
                reached?.Invoke("begun");
                if (!TryWrite(guest, work, slotBytes))
                {
                    File.Delete(unfinished);
                    return CompressionEnd.Damaged;
                }
                reached?.Invoke("written");
            }
            if (Hash(unfinished, slotBytes) != work.Sum.Sha256)
            {
                File.Delete(unfinished);
                return CompressionEnd.Damaged;
            }
            reached?.Invoke("verified");
            if (!OnWorker(guest, () => TryRename(segment, work.Sum)))
            {
                return CompressionEnd.Gone;
            }
            reached?.Invoke("renamed");
            DurableFile.SyncFolder(Path.GetDirectoryName(segment)!);
            reached?.Invoke("synced");
            OnWorker(guest, () => RemoveFirstForm(segment));
            guest.FilesChanged();
            return CompressionEnd.Done;
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // Nobody else has this name; it may have gone with its boot.
            if (Directory.Exists(Path.GetDirectoryName(segment)))
            {
                File.Delete(unfinished);
            }
            throw;
        }
        finally
        {
            guest.CompressingBytes = 0;
        }
    }

    public void Dispose() => _encoder.Dispose();

    /// <summary>Tidies up after a collector that died: what it was writing goes, and of two forms the second counts, unless the disk has damaged it.</summary>
    public void FinishInterrupted(GuestStore guest, string folder)
    {
        foreach (string file in Directory.GetFiles(folder, "*" + StorePaths.CompressedSuffix + DurableFile.TemporarySuffix))
        {
            File.Delete(file);
        }
        foreach (string segment in SegmentForms.In(folder).ToArray())
        {
            if (File.Exists(segment) && File.Exists(SegmentForms.CompressedPath(segment)))
            {
                if (!IsWhole(segment))
                {
                    File.Delete(SegmentForms.CompressedPath(segment));
                }
                OnWorker(guest, () => RemoveFirstForm(segment));
                guest.FilesChanged();
            }
        }
    }

    private bool IsWhole(string segment)
    {
        try
        {
            return StorePaths.TryParseSegmentName(Path.GetFileName(segment.AsSpan()), out _, out int slotBytes)
                && SegmentSum.TryRead(segment) is SegmentSummary sum && Hash(SegmentForms.CompressedPath(segment), slotBytes) == sum.Sha256;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private string Hash(string compressed, int slotBytes)
    {
        using CompressedSegment segment = CompressedSegment.TryOpen(compressed, slotBytes) ?? throw new FileNotFoundException($"{compressed} is gone", compressed);
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        int n;
        for (long at = 0; (n = segment.Read(at, _content)) > 0; at += n)
        {
            hash.AppendData(_content.AsSpan(0, n));
            pace();
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>The file to be written is made under the gate: a boot's folder that is being removed gets no new ones.</summary>
    private Work? Begin(GuestStore guest, string segment) => OnWorker(guest, () =>
    {
        if (!File.Exists(segment) || SegmentSum.TryRead(segment) is not SegmentSummary sum)
        {
            return null;
        }
        Work work = new(segment, sum);
        try
        {
            work.Open();
            return work;
        }
        catch (IOException)
        {
            work.Dispose();
            throw;
        }
    });

    private bool TryWrite(GuestStore guest, Work work, int slotBytes)
    {
        if (work.Bytes != work.Sum.Slots * slotBytes)
        {
            return false;
        }
        SeekTable table = new();
        int most = SeekTable.ContentFor(slotBytes);
        long written = 0;
        for (long at = 0; at < work.Bytes; at += most)
        {
            Span<byte> content = _content.AsSpan(0, (int)Math.Min(most, work.Bytes - at));
            if (work.Read(at, content) < content.Length)
            {
                return false;
            }
            int frame = _encoder.Compress(content, _frame);
            work.Write(written, _frame.AsSpan(0, frame));
            table.Add(frame, content.Length);
            written += frame;
            guest.CompressingBytes = DiskSpace.Rounded(written);
            pace();
        }
        work.Write(written, table.ToBytes());
        work.Finish();
        return true;
    }

    /// <summary>Not when retention has taken the segment meanwhile; another of that name may even have come.</summary>
    private static bool TryRename(string segment, SegmentSummary sum)
    {
        string unfinished = SegmentForms.UnfinishedPath(segment);
        if (File.Exists(segment) && SegmentSum.TryRead(segment) == sum)
        {
            LinuxException.Check(Sys.Rename(unfinished, SegmentForms.CompressedPath(segment)), "rename", unfinished);
            return true;
        }
        if (Directory.Exists(Path.GetDirectoryName(segment)))
        {
            File.Delete(unfinished);
        }
        return false;
    }

    private static bool RemoveFirstForm(string segment)
    {
        bool replaced = File.Exists(SegmentForms.CompressedPath(segment));
        if (replaced)
        {
            File.Delete(segment);
        }
        return replaced;
    }

    private T OnWorker<T>(GuestStore guest, Func<T> change) => worker.RunAsync(() =>
    {
        lock (guest.FilesGate)
        {
            return change();
        }
    }).GetAwaiter().GetResult();

    /// <summary>A segment and what it becomes, opened.</summary>
    private sealed class Work(string segment, SegmentSummary sum) : IDisposable
    {
        private readonly string _unfinished = SegmentForms.UnfinishedPath(segment);
        private Fd? _source;
        private Fd? _target;
        private long _modified;

        public SegmentSummary Sum => sum;

        public long Bytes { get; private set; }

        public void Open()
        {
            _source = Fd.Own(Sys.Open(segment, O_RDONLY), "open", segment);
            LinuxException.Check(Sys.Status(_source.Value, out long bytes, out _modified), "fstat", segment);
            Bytes = bytes;
            _target = Fd.Own(Sys.Open(_unfinished, O_WRONLY | O_CREAT | O_TRUNC, Mode), "open", _unfinished);
        }

        /// <returns>Bytes read: fewer than asked for only where the file ends.</returns>
        public int Read(long at, Span<byte> target)
        {
            int done = 0;
            fixed (byte* p = target)
            {
                while (done < target.Length)
                {
                    int n = LinuxException.Check(Sys.PRead(_source!.Value, p + done, target.Length - done, at + done), "read", segment);
                    if (n == 0)
                    {
                        break;
                    }
                    done += n;
                }
            }
            return done;
        }

        public void Write(long at, ReadOnlySpan<byte> bytes)
        {
            fixed (byte* p = bytes)
            {
                for (int done = 0; done < bytes.Length;)
                {
                    int n = Sys.PWrite(_target!.Value, p + done, bytes.Length - done, at + done);
                    // A write that writes nothing happens on a full file system of some kinds.
                    done += LinuxException.Check(n == 0 ? -Errno.ENOSPC : n, "write", _unfinished);
                }
            }
        }

        /// <summary>Gives the new form the time of the old one, by which retention goes, and puts it on the disk.</summary>
        public void Finish()
        {
            LinuxException.Check(Sys.SetModified(_target!.Value, _modified), "futimens", _unfinished);
            LinuxException.Check(Sys.Fsync(_target.Value), "fsync", _unfinished);
        }

        public void Dispose()
        {
            _source?.Dispose();
            _target?.Dispose();
        }
    }
}
