using System.Runtime.InteropServices;

namespace VsockPair.HostCollector.Tests.Decoding;

/// <summary>Memory between two pages that nobody may touch: what is read outside of it ends the process.</summary>
internal sealed unsafe partial class GuardedBytes : IDisposable
{
    private const int PageBytes = 4096;
    private const int ProtectNone = 0;
    private const int ProtectReadWrite = 3;
    private const int PrivateAnonymous = 0x22;

    private readonly byte* _mapping;
    private readonly int _bytes;

    /// <param name="bytes">A multiple of the page size.</param>
    public GuardedBytes(int bytes)
    {
        Assert.Equal(0, bytes % PageBytes);
        _bytes = bytes;
        nint mapping = MemoryMap(0, (nuint)(bytes + 2 * PageBytes), ProtectNone, PrivateAnonymous, -1, 0);
        Assert.NotEqual(-1, mapping);
        _mapping = (byte*)mapping;
        Assert.Equal(0, MemoryProtect(mapping + PageBytes, (nuint)bytes, ProtectReadWrite));
    }

    /// <summary>The last bytes: one more would be outside.</summary>
    public Span<byte> AtEnd(int count) => new(_mapping + PageBytes + _bytes - count, count);

    /// <summary>The first bytes: one before would be outside.</summary>
    public Span<byte> AtStart(int count) => new(_mapping + PageBytes, count);

    public void Dispose() => _ = MemoryUnmap((nint)_mapping, (nuint)(_bytes + 2 * PageBytes));

    /// <summary>Whether the bytes just before and just after may not be read: the kernel itself says so.</summary>
    public bool IsGuarded => IsFault(_mapping + PageBytes - 1) && IsFault(_mapping + PageBytes + _bytes) && !IsFault(_mapping + PageBytes + _bytes - 1);

    // The address is that of a file name, which is not found or cannot be read.
    private static bool IsFault(byte* address)
    {
        const int badAddress = 14;
        int result = Access((nint)address, 0);
        return result != 0 && Marshal.GetLastPInvokeError() == badAddress;
    }

    [LibraryImport("libc", EntryPoint = "access", SetLastError = true)]
    private static partial int Access(nint path, int mode);

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint MemoryMap(nint address, nuint length, int protection, int flags, int fd, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int MemoryProtect(nint address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int MemoryUnmap(nint address, nuint length);
}
