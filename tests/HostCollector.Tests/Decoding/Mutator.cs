using System.Buffers.Binary;
using System.Text;
using VsockPair.Tracing;

namespace VsockPair.HostCollector.Tests.Decoding;

/// <summary>
/// Makes bad input of good: small sub-buffers from events of real recordings, and metadata files, each changed where it hurts. The same seed gives the same input.
/// </summary>
internal sealed class Mutator(int seed)
{
    private const int HeaderBytes = 16;
    private const int MaxEvents = 3;

    private static readonly uint[] EvilNumbers = [0, 1, 3, 4, 5, 28, 29, 30, 31, 0x7F, 0xFF, 0xFFC, 0xFFF, 0x1000, 0xFFFF, 0x10000, 0xFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF];

    private static readonly string[] EvilTexts =
    [
        "(", ")", "((((((((((((((((", "[0]", "REC->", "REC->common_pid", "%", "%s", "%*d", "%*.*s", "%999999999d", "%.999999999x", "%pS", "%pISpc", "%*phN", "%pM", "%lllld", "\"", "\"\"",
        ",", "{ 1, \"x\" }", "__print_flags(", "__print_symbolic(REC->common_pid, ", "__print_array(", "__print_hex(", "__get_str(", "__get_dynamic_array(", "sizeof(", "? 1 : ", "-", "~!-",
        "<<", "/ 0", "% 0", "-9223372036854775808", "18446744073709551616", "offset:", "size:", "-1", "4294967295", "65536", "1048576", "__data_loc char[] ", "[99999999]", ";", "\n", "\0", "print fmt:", "field:",
    ];

    private readonly Random _random = new(seed);

    public int Next(int below) => _random.Next(below);

    /// <summary>Writes a sub-buffer of a few of the events, changed, and gives its length.</summary>
    public int SubBuffer(byte[][] payloads, Span<byte> target)
    {
        int used = HeaderBytes;
        BinaryPrimitives.WriteInt64LittleEndian(target, _random.NextInt64());
        for (int i = _random.Next(MaxEvents); i >= 0; i--)
        {
            byte[] payload = payloads[_random.Next(payloads.Length)];
            if (used + 8 + payload.Length > target.Length)
            {
                break;
            }
            if (payload.Length <= 112 && payload.Length % 4 == 0)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(target[used..], (uint)_random.Next(1 << 20) << 5 | (uint)payload.Length / 4);
                used += 4;
            }
            else
            {
                BinaryPrimitives.WriteUInt32LittleEndian(target[used..], (uint)_random.Next(1 << 20) << 5);
                BinaryPrimitives.WriteUInt32LittleEndian(target[(used + 4)..], (uint)payload.Length + 4);
                used += 8;
            }
            payload.CopyTo(target[used..]);
            used += payload.Length;
        }
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], (uint)(used - HeaderBytes) | (_random.Next(8) == 0 ? 0xC000_0000UL : 0));
        for (int i = _random.Next(4); i > 0; i--)
        {
            Damage(target[..used]);
        }
        return _random.Next(16) == 0 ? _random.Next(used + 1) : used;
    }

    public byte[] File(byte[] file)
    {
        StringBuilder text = new(Encoding.Latin1.GetString(file));
        for (int i = 1 + _random.Next(4); i > 0; i--)
        {
            int at = _random.Next(text.Length + 1);
            switch (_random.Next(6))
            {
                case 0: text.Insert(at, EvilTexts[_random.Next(EvilTexts.Length)]); break;
                case 1: text.Remove(at, Math.Min(_random.Next(40), text.Length - at)); break;
                case 2 when at < text.Length: text[at] = (char)_random.Next(256); break;
                case 3: text.Length = at; break;
                case 4:
                    string piece = text.ToString(at, Math.Min(_random.Next(100), text.Length - at));
                    text.Insert(_random.Next(text.Length + 1), piece);
                    break;
                default:
                    text.Insert(at, EvilTexts[_random.Next(EvilTexts.Length)], 1 + (_random.Next(50) == 0 ? 2000 : _random.Next(3)));
                    break;
            }
        }
        return Encoding.Latin1.GetBytes(text.ToString());
    }

    private void Damage(Span<byte> bytes)
    {
        int at = _random.Next(bytes.Length);
        uint evil = EvilNumbers[_random.Next(EvilNumbers.Length)];
        switch (_random.Next(5))
        {
            case 0: bytes[at] = (byte)_random.Next(256); break;
            case 1: bytes[at] ^= (byte)(1 << _random.Next(8)); break;
            case 2: BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], evil); break;
            case 3 when bytes.Length - HeaderBytes >= 4: BinaryPrimitives.WriteUInt32LittleEndian(bytes[(HeaderBytes + (at & ~3) % (bytes.Length - HeaderBytes - 3))..], evil); break;
            default: BinaryPrimitives.WriteUInt16LittleEndian(bytes[(at & ~1 & (bytes.Length - 2))..], (ushort)evil); break;
        }
    }

    /// <summary>The payloads of all events of a recording.</summary>
    public static byte[][] Payloads(CaptureFile capture)
    {
        List<byte[]> payloads = [];
        foreach (byte[] bytes in capture.Cpus)
        {
            for (int at = 0; at < bytes.Length; at += capture.SubBufferBytes)
            {
                EventCursor cursor = new(bytes.AsSpan(at, capture.SubBufferBytes));
                while (cursor.TryRead(out RingEvent ringEvent))
                {
                    payloads.Add(ringEvent.Payload.ToArray());
                }
            }
        }
        return [.. payloads];
    }
}
