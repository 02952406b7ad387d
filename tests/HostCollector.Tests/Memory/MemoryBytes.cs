using VsockPair.Memory;

namespace VsockPair.HostCollector.Tests.Memory;

/// <summary>A memory file that is an array.</summary>
internal sealed class MemoryBytes(byte[] bytes) : IByteSource
{
    public long Length => bytes.Length;

    public bool TryRead(long offset, Span<byte> target)
    {
        if (offset < 0 || offset > bytes.Length || target.Length > bytes.Length - offset)
        {
            return false;
        }
        bytes.AsSpan((int)offset, target.Length).CopyTo(target);
        return true;
    }

    public void Dispose()
    {
    }
}
