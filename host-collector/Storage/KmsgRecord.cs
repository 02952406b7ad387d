using System.Buffers.Text;
using System.Globalization;
using VsockPair.Protocol;

namespace VsockPair.Storage;

/// <summary>
/// One record of <c>/dev/kmsg</c>, in place: <c>prio,seq,usec,flags[,…];text\n</c>, then lines that begin with a space (PROTOCOL.md §7).
/// A guest sends what it likes and a crash or a disk may leave anything, so whoever cuts bytes into records does it here.
/// </summary>
internal readonly ref struct KmsgRecord
{
    public uint Priority { get; private init; }

    public ulong Sequence { get; private init; }

    public ulong Microseconds { get; private init; }

    /// <summary><c>-</c>, or <c>c</c> for a fragment of a line.</summary>
    public ReadOnlySpan<byte> Flags { get; private init; }

    /// <summary>As the kernel escaped it.</summary>
    public ReadOnlySpan<byte> Text { get; private init; }

    /// <summary><c>" KEY=value\n"</c> lines.</summary>
    public ReadOnlySpan<byte> Fields { get; private init; }

    public long Nanoseconds => Microseconds > long.MaxValue / 1000 ? long.MaxValue : (long)Microseconds * 1000;

    /// <param name="atEnd">Nothing will come after <paramref name="bytes"/>: what ends there is whole.</param>
    /// <param name="bytes">A record ends where a line that begins with no space follows.</param>
    /// <param name="length">Bytes of the record, or of what is none; 0 when more must come first.</param>
    /// <returns>False for an unfinished record (<paramref name="length"/> 0), and for bytes that are none.</returns>
    public static bool TryTake(ReadOnlySpan<byte> bytes, bool atEnd, out KmsgRecord record, out int length)
    {
        record = default;
        length = 0;
        int lineEnd = bytes.IndexOf((byte)'\n');
        if (lineEnd < 0)
        {
            return false;
        }
        int end = lineEnd + 1;
        while (end < bytes.Length && bytes[end] == ' ')
        {
            int next = bytes[end..].IndexOf((byte)'\n');
            if (next < 0)
            {
                return false;
            }
            end += next + 1;
        }
        if (end == bytes.Length && !atEnd)
        {
            return false;
        }
        length = end;
        return length <= Wire.MaxKmsgRecordBytes && TryParse(bytes[..lineEnd], bytes[(lineEnd + 1)..end], out record);
    }

    private static bool TryParse(ReadOnlySpan<byte> line, ReadOnlySpan<byte> fields, out KmsgRecord record)
    {
        record = default;
        int semicolon = line.IndexOf((byte)';');
        if (semicolon < 0)
        {
            return false;
        }
        ReadOnlySpan<byte> header = line[..semicolon];
        if (!TryTakeNumber(ref header, out ulong priority) || priority > uint.MaxValue || !TryTakeNumber(ref header, out ulong sequence)
            || !TryTakeNumber(ref header, out ulong microseconds))
        {
            return false;
        }
        int comma = header.IndexOf((byte)',');
        record = new KmsgRecord
        {
            Priority = (uint)priority,
            Sequence = sequence,
            Microseconds = microseconds,
            Flags = comma < 0 ? header : header[..comma],
            Text = line[(semicolon + 1)..],
            Fields = fields,
        };
        return true;
    }

    private static bool TryTakeNumber(ref ReadOnlySpan<byte> header, out ulong number)
    {
        bool read = Utf8Parser.TryParse(header, out number, out int digits) && digits < header.Length && header[digits] == ',';
        header = read ? header[(digits + 1)..] : header;
        return read;
    }

    /// <summary>Undoes the kernel's <c>\xNN</c>. What comes out is the guest's own bytes: it must be escaped again before a terminal sees it.</summary>
    /// <returns>Bytes written to <paramref name="target"/>, which is at least as long as <paramref name="escaped"/>.</returns>
    public static int Unescape(ReadOnlySpan<byte> escaped, Span<byte> target)
    {
        int written = 0;
        while (escaped.Length > 0)
        {
            int plain = escaped.IndexOf((byte)'\\');
            plain = plain < 0 ? escaped.Length : plain;
            escaped[..plain].CopyTo(target[written..]);
            written += plain;
            escaped = escaped[plain..];
            if (escaped.Length >= 4 && escaped[1] == 'x' && byte.TryParse(escaped[2..4], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value))
            {
                target[written++] = value;
                escaped = escaped[4..];
            }
            else if (escaped.Length > 0)
            {
                target[written++] = (byte)'\\';
                escaped = escaped[1..];
            }
        }
        return written;
    }
}
