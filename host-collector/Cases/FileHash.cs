using System.Security.Cryptography;

namespace VsockPair.Cases;

/// <summary>SHA-256 of a file that may be as large as a guest's memory.</summary>
internal static class FileHash
{
    private const int ChunkBytes = 1 << 20;

    public static string Of(Stream file, CancellationToken stop)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] chunk = new byte[ChunkBytes];
        int n;
        while ((n = file.Read(chunk)) > 0)
        {
            stop.ThrowIfCancellationRequested();
            hash.AppendData(chunk, 0, n);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
