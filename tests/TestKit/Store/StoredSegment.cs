using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using VsockPair.Tracing;

namespace VsockPair.TestKit.Store;

/// <summary>One <c>.pages</c> file.</summary>
public sealed class StoredSegment(string path)
{
    public string Path { get; } = path;

    public int SubBufferBytes { get; } = int.Parse(System.IO.Path.GetFileNameWithoutExtension(path)[21..], CultureInfo.InvariantCulture);

    public bool IsClosed => File.Exists(Path + ".sum");

    /// <summary>Walks every whole slot. A slot that is no sub-buffer, or does not lie in time order, fails the test.</summary>
    public long CountEvents()
    {
        byte[] bytes = File.ReadAllBytes(Path);
        if (IsClosed && bytes.Length % SubBufferBytes != 0)
        {
            throw new InvalidDataException($"{Path} is closed and has {bytes.Length} bytes, not whole slots of {SubBufferBytes}");
        }
        long events = 0;
        ulong last = 0;
        for (int at = 0; at + SubBufferBytes <= bytes.Length; at += SubBufferBytes)
        {
            SubBuffer header = new(bytes.AsSpan(at));
            if (!header.FitsInto(SubBufferBytes) || header.TimeStamp < last
                || !SubBufferEvents.TryCount(bytes.AsSpan(at + SubBuffer.HeaderBytes, header.DataBytes), out int count))
            {
                throw new InvalidDataException($"{Path}, slot {at / SubBufferBytes}: no valid sub-buffer in time order ({header})");
            }
            last = header.TimeStamp;
            events += count;
        }
        return events;
    }

    /// <summary>The sidecar agrees with the file.</summary>
    public void CheckSummary()
    {
        JsonNode sum = JsonNode.Parse(File.ReadAllText(Path + ".sum"))!;
        byte[] bytes = File.ReadAllBytes(Path);
        (string, long, long) said = (sum["sha256"]!.GetValue<string>(), sum["slots"]!.GetValue<long>(), sum["events"]!.GetValue<long>());
        (string, long, long) found = (Convert.ToHexStringLower(SHA256.HashData(bytes)), bytes.Length / SubBufferBytes, CountEvents());
        if (said != found)
        {
            throw new InvalidDataException($"{Path}.sum says {said}, the file has {found}");
        }
    }
}
