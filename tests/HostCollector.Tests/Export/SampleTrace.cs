using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.HostCollector.Tests.Decoding;
using VsockPair.Storage;
using VsockPair.Tracing;

namespace VsockPair.HostCollector.Tests.Export;

/// <summary>The trace of one boot, made by hand: an event <c>demo:tick</c> with a number and a text, in sub-buffers of 4 KiB.</summary>
internal sealed class SampleTrace(SampleStore store, string boot = SampleStore.NewBoot)
{
    public const int SubBufferBytes = 4096;
    public const int Pid = 77;
    private const ushort TickId = 300;
    private const int EventBytes = 24;

    /// <summary>Events that fill a sub-buffer to its last byte but for less than a lost count.</summary>
    public const int MostEvents = (SubBufferBytes - SubBuffer.HeaderBytes) / EventBytes;

    /// <summary>The layout of sub-buffers and of what is common to all events: without them trace-cmd guesses.</summary>
    public static IReadOnlyDictionary<string, string> Headers { get; } = new Dictionary<string, string>
    {
        ["events/header_page"] = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
            + "\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n",
        ["events/header_event"] = "# compressed entry header\n\ttype_len    :    5 bits\n\ttime_delta  :   27 bits\n\tarray       :   32 bits\n\n"
            + "\tpadding     : type == 29\n\ttime_extend : type == 30\n\ttime_stamp : type == 31\n\tdata max type_len  == 28\n",
    };

    /// <summary>Of the event.</summary>
    public static string Format =>
        $"name: tick\nID: {TickId}\nformat:\n"
        + "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"
        + "\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
        + "\tfield:int value;\toffset:8;\tsize:4;\tsigned:1;\n\tfield:char text[8];\toffset:12;\tsize:8;\tsigned:0;\n\n"
        + "print fmt: \"value=%d text=%s\", REC->value, REC->text\n";

    /// <param name="symbols">Whether the kernel's symbols are there.</param>
    /// <param name="moreSymbols">Symbols beside the two that tests look for.</param>
    public void WriteMetadata(bool symbols = true, int moreSymbols = 0)
    {
        Dictionary<string, string> files = new(Headers)
        {
            ["events/demo/tick/format"] = Format,
            ["saved_cmdlines"] = $"{Pid} ticker\n",
        };
        if (symbols)
        {
            files["kallsyms"] = "+0 T _text\n+5a0 T do_one\n0000000000001000 A fixed\n"
                + string.Concat(Enumerable.Range(1, moreSymbols).Select(i => $"+{0x1000 + i * 64:x} t some_symbol_of_the_usual_length_number_{i:D10}\n"));
            files["kallsyms-boot"] = "ffffffff81000000 _text\nffffffffc0000000 t in_module\t[mod]\n";
        }
        WriteMetadata(files.ToDictionary(f => f.Key, f => Encoding.ASCII.GetBytes(f.Value)));
    }

    public void WriteMetadata(IReadOnlyDictionary<string, byte[]> files)
    {
        Dictionary<string, string> hashes = [];
        Directory.CreateDirectory(StorePaths.Metadata(store.Root));
        foreach ((string name, byte[] bytes) in files)
        {
            hashes[name] = Convert.ToHexStringLower(SHA256.HashData(bytes));
            File.WriteAllBytes(Path.Combine(StorePaths.Metadata(store.Root), hashes[name]), bytes);
        }
        string path = StorePaths.BootRecord(store.BootFolder(boot));
        BootRecord record = JsonSerializer.Deserialize(File.ReadAllText(path), StoreJson.Default.BootRecord)!;
        File.WriteAllText(path, JsonSerializer.Serialize(record with { Metadata = hashes }, StoreJson.Default.BootRecord));
    }

    /// <summary>The recording of a real guest as the store's only one.</summary>
    public void WriteCapture(CaptureFile capture)
    {
        if (Directory.Exists(StorePaths.Guests(store.Root)))
        {
            Directory.Delete(StorePaths.Guests(store.Root), recursive: true);
        }
        store.AddGuest("web1");
        store.AddBoot(boot, SampleStore.Noon);
        WriteMetadata(capture.Metadata);
        for (int cpu = 0; cpu < capture.Cpus.Count; cpu++)
        {
            byte[] bytes = capture.Cpus[cpu];
            if (bytes.Length > 0)
            {
                string folder = StorePaths.Vcpu(store.BootFolder(boot), cpu);
                Directory.CreateDirectory(folder);
                File.WriteAllBytes(Path.Combine(folder, StorePaths.SegmentName(BinaryPrimitives.ReadUInt64LittleEndian(bytes), capture.SubBufferBytes)), bytes);
            }
        }
    }

    /// <summary>Appends sub-buffers to the segment of this name.</summary>
    public string WriteSegment(int vcpu, ulong name, params IEnumerable<byte[]> subBuffers)
    {
        string folder = StorePaths.Vcpu(store.BootFolder(boot), vcpu);
        Directory.CreateDirectory(folder);
        string path = Path.Combine(folder, StorePaths.SegmentName(name, SubBufferBytes));
        using FileStream file = new(path, FileMode.Append);
        foreach (byte[] subBuffer in subBuffers)
        {
            file.Write(subBuffer);
        }
        return path;
    }

    /// <summary>A sub-buffer with a tick each <paramref name="step"/> nanoseconds, numbered from <paramref name="first"/>; the first one at <paramref name="start"/>.</summary>
    public static byte[] SubBufferOf(ulong start, int first, int events, uint step = 1000, string text = "abc") =>
        SubBufferOf(start, step, Enumerable.Range(first, events).Select(value =>
        {
            byte[] payload = new byte[EventBytes - sizeof(uint)];
            BinaryPrimitives.WriteUInt16LittleEndian(payload, TickId);
            BinaryPrimitives.WriteInt32LittleEndian(payload.AsSpan(4), Pid);
            BinaryPrimitives.WriteInt32LittleEndian(payload.AsSpan(8), value);
            Encoding.UTF8.GetBytes(text, payload.AsSpan(12));
            return payload;
        }));

    /// <summary>A sub-buffer with one event for each payload, of at most 112 bytes and a multiple of four.</summary>
    public static byte[] SubBufferOf(ulong start, uint step, IEnumerable<byte[]> payloads)
    {
        byte[] page = new byte[SubBufferBytes];
        int used = SubBuffer.HeaderBytes;
        foreach (byte[] payload in payloads)
        {
            uint delta = used == SubBuffer.HeaderBytes ? 0 : step << 5;
            BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(used), delta | (uint)payload.Length / sizeof(uint));
            payload.CopyTo(page, used + sizeof(uint));
            used += sizeof(uint) + payload.Length;
        }
        BinaryPrimitives.WriteUInt64LittleEndian(page, start);
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(8), (ulong)(used - SubBuffer.HeaderBytes));
        return page;
    }

    /// <summary>The line that trace-cmd prints of a tick.</summary>
    public static string Line(int vcpu, ulong time, int value) => $"{"ticker",16}-{Pid,-5} [{vcpu:D3}] {(time + 500) / 1000 / 1_000_000,5}.{(time + 500) / 1000 % 1_000_000:D6}: tick:                 value={value} text=abc";
}
