using System.Security.Cryptography;
using VsockPair.Linux;

namespace VsockPair.Storage;

/// <summary>
/// A file on its way from a guest: under a temporary name until its last byte is there, it hashes as offered, and it is on the disk. One that the disk did not take is passed
/// over: its bytes still come, and are counted only.
/// </summary>
internal sealed class IncomingFile : IDisposable
{
    public const int ShortHashChars = 16;

    private readonly DiskReserve? _reserve;
    private readonly string _path;
    private readonly long _modified;
    private readonly string _temporary;
    private readonly byte[] _sha256;
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private FileStream? _file;

    /// <param name="reserve">What it may use when the disk is full, if it may.</param>
    /// <param name="modified">When it was last modified in the guest, by the guest's clock; 0 where that means nothing.</param>
    public IncomingFile(string path, long size, ReadOnlyMemory<byte> sha256, DiskReserve? reserve, long modified = 0)
    {
        _path = path;
        _modified = modified;
        _reserve = reserve;
        _sha256 = sha256.ToArray();
        Size = size;
        // Two guests may send the same file at the same time.
        _temporary = $"{path}.{Guid.NewGuid():N}{DurableFile.TemporarySuffix}";
    }

    public long Size { get; }

    public long Received { get; private set; }

    public bool IsWhole => Received == Size;

    public bool IsPassedOver { get; private set; }

    /// <summary>The first characters of a SHA-256 in hex, as names of pstore records end.</summary>
    public static string ShortHash(ReadOnlySpan<byte> sha256) => Convert.ToHexStringLower(sha256[..(ShortHashChars / 2)]);

    /// <exception cref="IOException">The disk does not take it, which is passed over from here on.</exception>
    public void Add(ReadOnlySpan<byte> bytes)
    {
        long at = Received;
        Received += bytes.Length;
        if (IsPassedOver)
        {
            return;
        }
        try
        {
            Write(bytes.ToArray(), at);
        }
        catch (IOException)
        {
            IsPassedOver = true;
            Remove();
            throw;
        }
        _hash.AppendData(bytes);
    }

    public bool HashMatches() => CryptographicOperations.FixedTimeEquals(_hash.GetHashAndReset(), _sha256);

    /// <summary>For the storage thread.</summary>
    /// <exception cref="IOException">It is not on the disk.</exception>
    public void Finish()
    {
        // Each step may be the one that failed in an earlier try.
        if (_file is not null)
        {
            if (_modified > 0)
            {
                LinuxException.Check(Sys.SetModified((int)_file.SafeFileHandle.DangerousGetHandle(), _modified), "futimens", _temporary);
            }
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
        Remove();
        _hash.Dispose();
    }

    private void Write(byte[] chunk, long at)
    {
        if (_file is null)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_path)!);
            _file = new FileStream(_temporary, FileMode.CreateNew, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
        }
        void Write() => RandomAccess.Write(_file.SafeFileHandle, chunk, at);
        if (_reserve is null)
        {
            Write();
        }
        else
        {
            _reserve.WriteWithReserve(chunk.Length, Write);
        }
    }

    private void Remove()
    {
        if (_file is not null)
        {
            _file.Dispose();
            _file = null;
            File.Delete(_temporary);
        }
    }
}
