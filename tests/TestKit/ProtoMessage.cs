using System.Text;

namespace VsockPair.TestKit;

/// <summary>A protobuf message by the wire format alone: field number → values, in their order. Knows nothing of any schema.</summary>
public sealed class ProtoMessage
{
    private readonly List<(int Field, ulong Number, byte[]? Bytes)> _values = [];

    private ProtoMessage()
    {
    }

    public static ProtoMessage Parse(ReadOnlySpan<byte> bytes)
    {
        ProtoMessage message = new();
        while (!bytes.IsEmpty)
        {
            ulong tag = TakeVarint(ref bytes);
            int field = checked((int)(tag >> 3));
            switch (tag & 7)
            {
                case 0:
                    message._values.Add((field, TakeVarint(ref bytes), null));
                    break;
                case 2:
                    int length = checked((int)TakeVarint(ref bytes));
                    message._values.Add((field, 0, bytes[..length].ToArray()));
                    bytes = bytes[length..];
                    break;
                default:
                    throw new InvalidDataException($"field {field} has wire type {tag & 7}");
            }
        }
        return message;
    }

    public IEnumerable<int> Fields => _values.Select(v => v.Field);

    public bool Has(int field) => _values.Any(v => v.Field == field);

    public ulong Number(int field) => _values.Single(v => v.Field == field && v.Bytes is null).Number;

    public string Text(int field) => Encoding.UTF8.GetString(Bytes(field));

    public ProtoMessage Message(int field) => Parse(Bytes(field));

    public IEnumerable<ProtoMessage> Messages(int field) => _values.Where(v => v.Field == field).Select(v => Parse(v.Bytes ?? throw new InvalidDataException($"field {field} is a number")));

    private byte[] Bytes(int field) => _values.Single(v => v.Field == field).Bytes ?? throw new InvalidDataException($"field {field} is a number");

    private static ulong TakeVarint(ref ReadOnlySpan<byte> bytes)
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            byte next = bytes[0];
            bytes = bytes[1..];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
            {
                return value;
            }
        }
        throw new InvalidDataException("a varint of more than ten bytes");
    }
}
