using System.Security.Cryptography;

namespace VsockPair.Storage;

/// <summary>A file on its way from a guest: under a temporary name until its last byte is there, it hashes as offered, and it is on the disk.</summary>
internal sealed class IncomingFile : IDisposable
{
    public const int ShortHashChars = 16;

    private readonly DiskReserve? _reserve;
    private readonly string _path;
    private readonly string _temporary;
    private readonly byte[] _sha256;
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private FileStream? _file;

    /// <param name="reserve">What it may use when the disk is full, if it may.</param>
    /// <exception cref="IOException">It cannot be made.</exception>
    public IncomingFile(string path, long size, ReadOnlyMemory<byte> sha256, DiskReserve? reserve)
    {
        _path = path;
        _reserve = reserve;
        _sha256 = sha256.ToArray();
        Size = size;
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        // Two guests may send the same file at the same time.
        _temporary = $"{path}.{Guid.NewGuid():N}{DurableFile.TemporarySuffix}";
        _file = new FileStream(_temporary, FileMode.CreateNew, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
    }

    public long Size { get; }

    public long Received { get; private set; }

    /// <summary>The first characters of a SHA-256 in hex, as names of pstore records end.</summary>
    public static string ShortHash(ReadOnlySpan<byte> sha256) => Convert.ToHexStringLower(sha256[..(ShortHashChars / 2)]);

    /// <exception cref="IOException">The disk does not take it.</exception>
    public void Add(ReadOnlySpan<byte> bytes)
    {
        byte[] chunk = bytes.ToArray();
        void Write() => RandomAccess.Write(_file!.SafeFileHandle, chunk, Received);
        if (_reserve is null)
        {
            Write();
        }
        else
        {
            _reserve.WriteWithReserve(chunk.Length, Write);
        }
        _hash.AppendData(chunk);
        Received += chunk.Length;
    }

    public bool HashMatches() => CryptographicOperations.FixedTimeEquals(_hash.GetHashAndReset(), _sha256);

    /// <summary>For the storage thread.</summary>
    /// <exception cref="IOException">It is not on the disk.</exception>
    public void Finish()
    {
        // Each step may be the one that failed in an earlier try.
        if (_file is not null)
        {
            _file.Flush(flushToDisk: true);
            _file.Dispose();
            _file = null;
        }
        if (File.Exists(_temporary))
        {
            File.Move(_temporary, _path, overwrite: true);
        }
        DurableFile.SyncFolder(Path.GetDirectoryName(_path)!);
    }

    public void Dispose()
    {
        if (_file is not null)
        {
            _file.Dispose();
            _file = null;
            File.Delete(_temporary);
        }
        _hash.Dispose();
    }
}
