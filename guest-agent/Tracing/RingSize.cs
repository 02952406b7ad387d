using VsockPair.Linux;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>Finds the largest ring and sub-buffer that this guest's memory allows. The kernel's refusal is the answer.</summary>
internal static class RingSize
{
    /// <summary>Below a few sub-buffers a ring is of no use.</summary>
    public const int FewestSubBuffers = 8;

    private const string BufferFile = "buffer_size_kb";

    // 6.8 and later.
    private const string SubBufferFile = "buffer_subbuf_size_kb";
    private const int PageKb = 4;

    /// <param name="write">Writes a number to one of the instance's files, and answers 0 or a negative error number.</param>
    /// <returns>KiB per vCPU.</returns>
    /// <exception cref="LinuxException">Not even a small ring of pages.</exception>
    public static int Choose(int wantedKb, Func<string, int, int> write)
    {
        // First in pages: the kernel remakes the whole ring for another size of sub-buffer, which must not be that of its default ring.
        int kb = wantedKb;
        int result;
        while ((result = write(BufferFile, kb)) == -Errno.ENOMEM && kb / 2 >= FewestSubBuffers * PageKb)
        {
            kb /= 2;
        }
        LinuxException.Check(result, $"write \"{kb}\"", BufferFile);

        // A fragmented guest may lack pages of order 4, for the sub-buffers or for the ring of them that is rounded to its size.
        foreach (int subBufferKb in (int[])[64, 32, 16])
        {
            if (kb / subBufferKb < FewestSubBuffers)
            {
                continue;
            }
            result = write(SubBufferFile, subBufferKb);
            if (result == -Errno.ENOENT)
            {
                return kb;
            }
            if (result == 0 && write(BufferFile, kb) == 0)
            {
                return kb;
            }
        }
        if (write(SubBufferFile, PageKb) == 0)
        {
            LinuxException.Check(write(BufferFile, kb), $"write \"{kb}\"", BufferFile);
        }
        return kb;
    }
}
