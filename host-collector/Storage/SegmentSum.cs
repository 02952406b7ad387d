using System.Security.Cryptography;
using VsockPair.Linux;

namespace VsockPair.Storage;

/// <summary>Makes the sidecar that says that a file is closed. The file is on the disk already.</summary>
internal static unsafe class SegmentSum
{
    private const int ChunkBytes = 256 << 10;

    public static string PathOf(string file) => file + StorePaths.SummarySuffix;

    public static SegmentSummary? TryRead(string file) => DurableFile.TryRead(PathOf(file), StoreJson.Default.SegmentSummary);

    public static void Write(string file, int fd, long slots, long events, ulong first, ulong last)
    {
        if (!File.Exists(file))
        {
            // Somebody has removed it, perhaps with its folder: there is nothing left to describe, and trying again would hold up its guest's other files for ever.
            return;
        }
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] chunk = GC.AllocateUninitializedArray<byte>(ChunkBytes, pinned: true);
        fixed (byte* p = chunk)
        {
            for (long at = 0; ;)
            {
                int n = LinuxException.Check(Sys.PRead(fd, p, ChunkBytes, at), "read", file);
                if (n == 0)
                {
                    break;
                }
                hash.AppendData(chunk.AsSpan(0, n));
                at += n;
            }
        }
        Write(file, hash.GetHashAndReset(), slots, events, first, last, DiskSpace.BlocksOf(file));
    }

    public static void Write(string file, byte[] sha256, long slots, long events, ulong first, ulong last, long? bytes) => DurableFile.ReplaceSynced(
        PathOf(file),
        new SegmentSummary { Sha256 = Convert.ToHexStringLower(sha256), Slots = slots, Events = events, First = first, Last = last, Bytes = bytes },
        StoreJson.Default.SegmentSummary);
}
