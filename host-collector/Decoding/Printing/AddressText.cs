using System.Buffers.Binary;

namespace VsockPair.Decoding.Printing;

/// <summary>Internet addresses: <c>%pI4</c>, <c>%pi4</c>, <c>%pI6</c>, <c>%pI6c</c>, <c>%pi6</c>, and socket addresses <c>%pIS</c>.</summary>
internal static class AddressText
{
    private const int Ip4Bytes = 4;
    private const int Ip6Bytes = 16;
    // Address families and sizes of sockaddr_in and sockaddr_in6, as Linux has them.
    private const int Inet = 2;
    private const int Inet6 = 10;
    private const int SocketAddress4Bytes = 16;
    private const int SocketAddress6Bytes = 28;

    public static void Append(TextLine target, ReadOnlySpan<byte> bytes, string letters)
    {
        switch (letters[1])
        {
            case '4' when bytes.Length == Ip4Bytes:
                AppendIp4(target, bytes, hasZeros: letters[0] == 'i', isReversed: letters is [_, _, 'h' or 'l']);
                break;
            case '4':
                target.Append("INVALIDIPv4"u8);
                break;
            case '6' when bytes.Length != Ip6Bytes:
                target.Append("INVALIDIPv6"u8);
                break;
            case '6' when letters is "I6c":
                AppendShortIp6(target, bytes);
                break;
            case '6':
                AppendIp6(target, bytes, hasColons: letters[0] == 'I');
                break;
            default:
                AppendSocketAddress(target, bytes, letters);
                break;
        }
    }

    private static void AppendSocketAddress(TextLine target, ReadOnlySpan<byte> bytes, string letters)
    {
        bool hasPort = letters[0] == 'I' && letters.Contains('p', StringComparison.Ordinal);
        int family = bytes.Length < sizeof(ushort) ? 0 : BinaryPrimitives.ReadUInt16LittleEndian(bytes);
        if (family == Inet)
        {
            if (bytes.Length < SocketAddress4Bytes)
            {
                target.Append("INVALIDIPv4"u8);
                return;
            }
            AppendIp4(target, bytes.Slice(4, Ip4Bytes), hasZeros: letters[0] == 'i', isReversed: letters[^1] is 'h' or 'l');
            if (hasPort)
            {
                target.Append(':');
                target.AppendDecimal((long)BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]));
            }
        }
        else if (family == Inet6)
        {
            if (bytes.Length < SocketAddress6Bytes)
            {
                target.Append("INVALIDIPv6"u8);
                return;
            }
            target.Append(hasPort ? "["u8 : ""u8);
            if (letters.Contains('c', StringComparison.Ordinal))
            {
                AppendShortIp6(target, bytes.Slice(8, Ip6Bytes));
            }
            else
            {
                AppendIp6(target, bytes.Slice(8, Ip6Bytes), hasColons: letters[0] == 'I');
            }
            if (hasPort)
            {
                target.Append("]:"u8);
                target.AppendDecimal((long)BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]));
            }
        }
    }

    private static void AppendIp4(TextLine target, ReadOnlySpan<byte> bytes, bool hasZeros, bool isReversed)
    {
        Conversion number = new() { Specifier = 'd', Precision = hasZeros ? 3 : -1 };
        for (int i = 0; i < Ip4Bytes; i++)
        {
            target.Append(i == 0 ? ""u8 : "."u8);
            number.AppendNumber(target, bytes[isReversed ? Ip4Bytes - 1 - i : i]);
        }
    }

    private static void AppendIp6(TextLine target, ReadOnlySpan<byte> bytes, bool hasColons)
    {
        for (int i = 0; i < Ip6Bytes; i += 2)
        {
            target.Append(i > 0 && hasColons ? ":"u8 : ""u8);
            target.AppendHex(BinaryPrimitives.ReadUInt16BigEndian(bytes[i..]), minDigits: 4);
        }
    }

    /// <summary>RFC 5952, with the IPv4 addresses that are mapped into IPv6 or carried by ISATAP in dots.</summary>
    private static void AppendShortIp6(TextLine target, ReadOnlySpan<byte> bytes)
    {
        bool isMapped = bytes[..10].IndexOfAnyExcept((byte)0) < 0 && bytes[10] == 0xFF && bytes[11] == 0xFF;
        bool isIsatap = (bytes[8] & ~2) == 0 && bytes[9] == 0 && bytes[10] == 0x5E && bytes[11] == 0xFE;
        int groups = isMapped || isIsatap ? 6 : 8;

        int zerosAt = -1;
        int zeros = 1;
        for (int i = 0; i < groups; i++)
        {
            int run = 0;
            while (i + run < groups && BinaryPrimitives.ReadUInt16BigEndian(bytes[((i + run) * 2)..]) == 0)
            {
                run++;
            }
            if (run > zeros)
            {
                (zerosAt, zeros) = (i, run);
            }
        }
        bool needsColon = false;
        for (int i = 0; i < groups; i++)
        {
            if (i == zerosAt)
            {
                target.Append(needsColon || i == 0 ? "::"u8 : ":"u8);
                needsColon = false;
                i += zeros - 1;
                continue;
            }
            target.Append(needsColon ? ":"u8 : ""u8);
            target.AppendHex(BinaryPrimitives.ReadUInt16BigEndian(bytes[(i * 2)..]));
            needsColon = true;
        }
        if (groups == 6)
        {
            target.Append(needsColon ? ":"u8 : ""u8);
            AppendIp4(target, bytes[12..], hasZeros: false, isReversed: false);
        }
    }
}
