using VsockPair.Protocol;

namespace VsockPair.Storage;

/// <summary>Finds the kernel's records in bytes that <c>/dev/kmsg</c> gave: <c>prio,seq,usec,flags[,…];text</c>, a line feed, then lines that begin with a space.</summary>
internal static class KmsgRecord
{
    /// <param name="bytes">Begins with a record. Its end is where a line that begins with no space follows, or nothing.</param>
    /// <param name="length">Bytes of the record.</param>
    public static bool TryTake(ReadOnlySpan<byte> bytes, out int length, out ulong sequence)
    {
        length = 0;
        return TryReadSequence(bytes, out sequence) && TryFindEnd(bytes, out length);
    }

    private static bool TryFindEnd(ReadOnlySpan<byte> bytes, out int length)
    {
        length = 0;
        do
        {
            int newline = bytes[length..].IndexOf((byte)'\n');
            if (newline < 0 || length + newline >= Wire.MaxKmsgRecordBytes)
            {
                return false;
            }
            length += newline + 1;
        }
        while (length < bytes.Length && bytes[length] == ' ');
        return true;
    }

    private static bool TryReadSequence(ReadOnlySpan<byte> bytes, out ulong sequence)
    {
        sequence = 0;
        return TryReadNumber(ref bytes, out _) && TryReadNumber(ref bytes, out sequence) && TryReadNumber(ref bytes, out _)
            && bytes.IndexOfAny((byte)';', (byte)'\n') is int at and >= 0 && bytes[at] == ';';
    }

    /// <summary>Digits and the comma after them.</summary>
    private static bool TryReadNumber(ref ReadOnlySpan<byte> bytes, out ulong value)
    {
        value = 0;
        int digits = 0;
        while (digits < bytes.Length && bytes[digits] is >= (byte)'0' and <= (byte)'9')
        {
            ulong digit = (ulong)(bytes[digits] - '0');
            if (value > (ulong.MaxValue - digit) / 10)
            {
                return false;
            }
            value = value * 10 + digit;
            digits++;
        }
        if (digits == 0 || digits == bytes.Length || bytes[digits] != ',')
        {
            return false;
        }
        bytes = bytes[(digits + 1)..];
        return true;
    }
}
