using Microsoft.Win32.SafeHandles;

namespace VsockPair.Memory;

/// <summary>An open file.</summary>
internal sealed class FileBytes(SafeFileHandle file) : IByteSource
{
    public long Length { get; } = RandomAccess.GetLength(file);

    public bool TryRead(long offset, Span<byte> target)
    {
        if (offset < 0 || offset > Length || target.Length > Length - offset)
        {
            return false;
        }
        while (target.Length > 0)
        {
            int n;
            try
            {
                n = RandomAccess.Read(file, target, offset);
            }
            catch (IOException)
            {
                // A bad sector is one more place that cannot be had.
                return false;
            }
            if (n == 0)
            {
                return false;
            }
            target = target[n..];
            offset += n;
        }
        return true;
    }

    public void Dispose() => file.Dispose();
}
