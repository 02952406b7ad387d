using System.Buffers.Text;
using System.Globalization;

namespace VsockPair.Commands;

/// <summary>
/// One record of <c>/dev/kmsg</c>, in place: <c>prio,seq,usec,flags[,…];text\n</c>, then lines that begin with a space (PROTOCOL.md §7).
/// The collector let only whole records in; a crash or a disk may have left something else.
/// </summary>
internal readonly ref struct KmsgEntry
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
    /// <param name="length">Bytes of the record, or of what is none; 0 when more must come first.</param>
    /// <returns>False for an unfinished record (<paramref name="length"/> 0), and for bytes that are none.</returns>
    public static bool TryTake(ReadOnlySpan<byte> bytes, bool atEnd, out KmsgEntry record, out int length)
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
        return TryParse(bytes[..lineEnd], bytes[(lineEnd + 1)..end], out record);
    }

    private static bool TryParse(ReadOnlySpan<byte> line, ReadOnlySpan<byte> fields, out KmsgEntry record)
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
        record = new KmsgEntry
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
