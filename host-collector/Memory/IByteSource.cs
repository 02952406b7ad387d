namespace VsockPair.Memory;

/// <summary>The bytes of a memory file.</summary>
internal interface IByteSource : IDisposable
{
    long Length { get; }

    /// <returns>False when any byte of it cannot be had; what <paramref name="target"/> holds then is undefined.</returns>
    bool TryRead(long offset, Span<byte> target);
}
