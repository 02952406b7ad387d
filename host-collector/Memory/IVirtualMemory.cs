using System.Buffers.Binary;

namespace VsockPair.Memory;

/// <summary>A guest kernel's memory by the kernel's own addresses. What is in it was written by the guest.</summary>
internal interface IVirtualMemory
{
    /// <returns>False when any byte of it cannot be had; what <paramref name="target"/> holds then is undefined.</returns>
    bool TryRead(ulong address, Span<byte> target);
}

internal static class VirtualReads
{
    public static ulong? ReadU64(this IVirtualMemory memory, ulong address)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        return memory.TryRead(address, bytes) ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : null;
    }

    public static uint? ReadU32(this IVirtualMemory memory, ulong address)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        return memory.TryRead(address, bytes) ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : null;
    }

    /// <summary>A string up to its NUL. Read in pieces that end with a page, for what follows may not be there.</summary>
    /// <returns>Null when it cannot be read or has no end within <paramref name="limit"/> bytes.</returns>
    public static byte[]? ReadString(this IVirtualMemory memory, ulong address, int limit)
    {
        byte[] text = new byte[limit];
        for (int have = 0; have < limit;)
        {
            const int page = 4096;
            int piece = (int)Math.Min((ulong)(limit - have), page - (address + (ulong)have) % page);
            if (!memory.TryRead(address + (ulong)have, text.AsSpan(have, piece)))
            {
                return null;
            }
            if (text.AsSpan(have, piece).IndexOf((byte)0) is int end and >= 0)
            {
                return text[..(have + end)];
            }
            have += piece;
        }
        return null;
    }
}
