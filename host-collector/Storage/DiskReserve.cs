using VsockPair.Linux;

namespace VsockPair.Storage;

/// <summary>
/// 4 MiB of the store kept for what must be written when the disk is full: ledgers and pstore records. The file is cut shorter by what they need, and filled up
/// again once there is room.
/// </summary>
internal sealed class DiskReserve
{
    public const string FileName = ".reserve";

    private const int Bytes = 4 << 20;
    private const int Step = 64 << 10;

    private readonly Lock _gate = new();
    private readonly string _path;

    public DiskReserve(string store) => _path = Path.Combine(store, FileName);

    /// <summary>Fills the reserve; real blocks, since a sparse file would reserve nothing.</summary>
    /// <returns>False when there is no room for it.</returns>
    public bool TryFill()
    {
        lock (_gate)
        {
            try
            {
                using FileStream file = new(_path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
                byte[] zeros = new byte[Step];
                for (long at = file.Length; at < Bytes; at += Step)
                {
                    RandomAccess.Write(file.SafeFileHandle, zeros, at);
                }
                return true;
            }
            catch (IOException)
            {
                return false;
            }
        }
    }

    /// <summary>Runs a write, and again with room out of the reserve if the disk is full.</summary>
    public void WriteWithReserve(int bytes, Action write)
    {
        try
        {
            write();
        }
        catch (IOException e) when (IsFull(e))
        {
            // No more than it needs: what is left over, others would take.
            Give(DiskSpace.Rounded(bytes));
            try
            {
                write();
            }
            catch (IOException again) when (IsFull(again))
            {
                // The file system needs blocks of its own, or another was faster.
                Give(Step);
                write();
            }
        }
    }

    /// <param name="error">Of <see cref="Sys"/>.</param>
    public static bool IsFull(int error) => error is -Errno.ENOSPC or -Errno.EDQUOT;

    private void Give(long bytes)
    {
        lock (_gate)
        {
            using FileStream file = new(_path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
            file.SetLength(Math.Max(0, file.Length - bytes));
        }
    }

    /// <summary>.NET keeps the errno of a failed write in HResult, but gives ENOSPC the code of Windows.</summary>
    public static bool IsFull(IOException e) => e.HResult is Errno.ENOSPC or Errno.EDQUOT or unchecked((int)0x80070070);
}
