using System.Buffers.Binary;
using System.Text.RegularExpressions;
using VsockPair.Decoding;

namespace VsockPair.HostCollector.Tests.Decoding;

/// <summary>
/// Events of any format, made up: every format that a kernel has is printed, also those that no test load causes. Fields hold what they could hold;
/// where a format takes a length from a field it is short, because trace-cmd reads past the event otherwise.
/// </summary>
internal sealed partial class SyntheticEvents(int seed, ulong someSymbol)
{
    private const int HeaderBytes = 16;
    private const int MaxPayload = 3000;

    /// <summary>Lengths that fields give are below 8, of elements of up to 8 bytes.</summary>
    private const int LongestElements = 64;

    private static readonly string[] Helpers = ["__print_array", "__print_hex", "*", "__get_dynamic_array"];

    private readonly Random _random = new(seed);

    /// <summary>Sub-buffers with <paramref name="each"/> events of each format, in its order.</summary>
    public byte[] SubBuffers(IEnumerable<EventFormat> formats, int each, int subBufferBytes)
    {
        using MemoryStream all = new();
        byte[] page = new byte[subBufferBytes];
        int used = HeaderBytes;
        ulong time = 1_000_000_000;
        foreach (EventFormat format in formats)
        {
            for (int i = 0; i < each; i++)
            {
                byte[] payload = Payload(format);
                if (used + 8 + payload.Length > subBufferBytes)
                {
                    Close(all, page, used);
                    used = HeaderBytes;
                }
                if (used == HeaderBytes)
                {
                    BinaryPrimitives.WriteUInt64LittleEndian(page, time);
                }
                // The long form: a length word that counts itself.
                BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(used), (used == HeaderBytes ? 0u : 1000u) << 5);
                BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(used + 4), (uint)payload.Length + 4);
                payload.CopyTo(page.AsSpan(used + 8));
                used += 8 + payload.Length;
                time += 1000;
            }
        }
        Close(all, page, used);
        return all.ToArray();
    }

    /// <summary>As few formats as have all helpers and conversions of all of them.</summary>
    public static IEnumerable<EventFormat> Distinctive(IEnumerable<EventFormat> formats)
    {
        HashSet<string> seen = [];
        foreach (EventFormat format in formats)
        {
            string[] features = [.. Feature().Matches(format.PrintFormat).Select(m => m.Value)];
            if (features.Any(f => !seen.Contains(f)))
            {
                seen.UnionWith(features);
                yield return format;
            }
        }
    }

    [GeneratedRegex(@"__\w+\(|%[^a-zA-Z\s]*l*[a-zA-Z][a-zA-Z0-9]{0,3}")]
    private static partial Regex Feature();

    private static void Close(MemoryStream all, byte[] page, int used)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(8), (ulong)(used - HeaderBytes));
        page.AsSpan(used).Clear();
        all.Write(page);
    }

    private byte[] Payload(EventFormat format)
    {
        int fixedBytes = format.Fields.Count == 0 ? 8 : format.Fields.Max(f => f.Offset + f.Size);
        if (fixedBytes > MaxPayload)
        {
            throw new InvalidOperationException($"{format.Name} is too long");
        }
        List<byte> payload = [.. new byte[(fixedBytes + 7) & ~7]];
        bool hasLengths = Helpers.Any(h => format.PrintFormat.Contains(h, StringComparison.Ordinal));
        foreach (FieldFormat field in format.Fields)
        {
            switch (field.Name)
            {
                case "common_type": Put(payload, field, (ulong)format.Id); break;
                case "common_pid": Put(payload, field, (ulong)_random.Next(3)); break;
                case var name when name.StartsWith("common_", StringComparison.Ordinal): break;
                default: Fill(payload, field, hasLengths); break;
            }
        }
        return [.. payload];
    }

    private void Fill(List<byte> payload, FieldFormat field, bool hasLengths)
    {
        if (field.Place != FieldPlace.Fixed)
        {
            byte[] bytes = field.Type.Contains("char", StringComparison.Ordinal) ? Text(_random.Next(1, 24)) : Bytes(hasLengths ? LongestElements : 8 * _random.Next(1, 4));
            int from = payload.Count - (field.Place == FieldPlace.RelativeLocation ? field.Offset + field.Size : 0);
            Put(payload, field, (ulong)bytes.Length << 16 | (uint)from);
            payload.AddRange(bytes);
            payload.AddRange(new byte[(8 - payload.Count % 8) % 8]);
        }
        else if (field.Size == 0)
        {
            payload.RemoveRange(field.Offset, payload.Count - field.Offset);
            payload.AddRange(field.IsText ? Text(_random.Next(1, 40)) : Bytes(16));
            payload.AddRange(new byte[(8 - payload.Count % 8) % 8]);
        }
        else if (field.IsArray)
        {
            byte[] bytes = field.IsText ? Text(field.Size) : Bytes(field.Size);
            for (int i = 0; i < field.Size; i++)
            {
                payload[field.Offset + i] = bytes[i];
            }
        }
        else
        {
            Put(payload, field, Value(field.Size, hasLengths));
        }
    }

    private ulong Value(int size, bool hasLengths) => (hasLengths ? 0 : _random.Next(6)) switch
    {
        0 or 1 => (ulong)_random.Next(8),
        2 => (ulong)_random.Next(0x10000),
        3 => ulong.MaxValue >> _random.Next(40),
        4 when size == 8 => someSymbol + (ulong)_random.Next(64),
        _ => (ulong)_random.NextInt64(),
    };

    private static void Put(List<byte> payload, FieldFormat field, ulong value)
    {
        for (int i = 0; i < field.Size; i++)
        {
            payload[field.Offset + i] = i < 8 ? (byte)(value >> (8 * i)) : (byte)0;
        }
    }

    /// <summary>Ends in a zero byte.</summary>
    private byte[] Text(int size)
    {
        byte[] text = new byte[size];
        for (int i = 0; i < _random.Next(size); i++)
        {
            text[i] = (byte)_random.Next('!', '~');
        }
        return text;
    }

    private byte[] Bytes(int size)
    {
        byte[] bytes = new byte[size];
        _random.NextBytes(bytes);
        return bytes;
    }
}
