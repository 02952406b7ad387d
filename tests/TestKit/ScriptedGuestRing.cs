using System.Buffers.Binary;
using VsockPair.Protocol;
using VsockPair.Tracing;

namespace VsockPair.TestKit;

/// <summary>
/// A vCPU's ring that makes valid sub-buffers, and counts as the kernel does: what is taken out counts as read, whether or not it arrives.
/// </summary>
public sealed class ScriptedGuestRing(int cpu, int subBufferBytes = 4096)
{
    /// <summary>Payload words of an event; with its header word an event has 4 × (1 + this) bytes.</summary>
    private const int EventWords = 6;
    private const int EventBytes = 4 * (1 + EventWords);

    private ulong _payload = (ulong)cpu << 48;

    public int Cpu { get; } = cpu;

    public int SubBufferBytes { get; } = subBufferBytes;

    public Guid Generation { get; private set; } = Guid.NewGuid();

    public ulong ReadEvents { get; set; }

    public ulong LostEvents { get; set; }

    /// <summary>Trace clock of the next sub-buffer.</summary>
    public ulong Clock { get; set; } = 1_000_000_000;

    public int MaxEvents => (SubBufferBytes - SubBuffer.HeaderBytes) / EventBytes;

    public BulkHello Hello => new()
    {
        Cpu = Cpu,
        SubBufferBytes = SubBufferBytes,
        Generation = Generation,
        ReadEvents = ReadEvents,
        LostEvents = LostEvents,
    };

    public StreamCounters Counters(bool final = false) => new(Cpu, Generation, ReadEvents, LostEvents, final);

    /// <summary>Counters begin at zero again.</summary>
    public void NewGeneration()
    {
        Generation = Guid.NewGuid();
        ReadEvents = 0;
        LostEvents = 0;
    }

    /// <summary>Takes a whole sub-buffer out of the ring.</summary>
    public byte[] TakeSubBuffer() => TakeSubBuffer(MaxEvents);

    public byte[] TakeSubBuffer(int events)
    {
        byte[] page = new byte[SubBufferBytes];
        Fill(page, events);
        return page;
    }

    /// <summary>Takes many at once.</summary>
    public byte[] TakeSubBuffers(int count)
    {
        byte[] pages = new byte[count * SubBufferBytes];
        for (int i = 0; i < count; i++)
        {
            Fill(pages.AsSpan(i * SubBufferBytes, SubBufferBytes), MaxEvents);
        }
        return pages;
    }

    /// <summary>Takes a part-filled sub-buffer out of the ring, with its mark and length as they go over the wire.</summary>
    public byte[] TakeTail(int events)
    {
        byte[] page = new byte[SubBufferBytes];
        int used = Fill(page, events);
        byte[] record = new byte[BulkRecord.TailPrefixBytes + used];
        BulkRecord.WriteTailPrefix(record, used);
        page.AsSpan(0, used).CopyTo(record.AsSpan(BulkRecord.TailPrefixBytes));
        return record;
    }

    /// <summary>Events of the given number of payload words each, none of them real trace: what counts is their headers.</summary>
    private int Fill(Span<byte> page, int events)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(events, MaxEvents);
        BinaryPrimitives.WriteUInt64LittleEndian(page, Clock);
        BinaryPrimitives.WriteUInt64LittleEndian(page[8..], (ulong)(events * EventBytes));
        Span<byte> at = page[SubBuffer.HeaderBytes..];
        for (int i = 0; i < events; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(at, EventWords | (100u << 5));
            for (int word = 0; word < EventWords; word += 2)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(at[(4 + 4 * word)..], _payload++);
            }
            at = at[EventBytes..];
        }
        Clock += 1000;
        ReadEvents += (ulong)events;
        return SubBuffer.HeaderBytes + events * EventBytes;
    }
}
