using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using VsockPair.Tracing;

namespace VsockPair.TestKit.Store;

/// <summary>One segment: a <c>.pages</c> file, or what it was compressed to, which Debian's <c>zstd</c> takes apart here.</summary>
/// <param name="path">The <c>.pages</c> file, whether it is there or was compressed.</param>
public sealed class StoredSegment(string path)
{
    private const string Pages = ".pages";
    private const string Compressed = ".zst";

    public string Path { get; } = path;

    public string CompressedPath => Path + Compressed;

    public bool IsCompressed => File.Exists(CompressedPath) && !File.Exists(Path);

    /// <summary>The segments in a stream's folder, oldest first, each once.</summary>
    public static IReadOnlyList<StoredSegment> In(string folder) => !Directory.Exists(folder) ? [] :
    [
        .. Directory.GetFiles(folder)
            .Select(file => file.EndsWith(Pages + Compressed, StringComparison.Ordinal) ? file[..^Compressed.Length] : file)
            .Where(file => file.EndsWith(Pages, StringComparison.Ordinal))
            .Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).Select(file => new StoredSegment(file)),
    ];

    public byte[] Read() => Read(Path);

    /// <summary>The content of a <c>.pages</c> file, whether it is there or was compressed.</summary>
    public static byte[] Read(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (FileNotFoundException) when (File.Exists(path + Compressed))
        {
            return Unpack(path + Compressed);
        }
    }

    public int SubBufferBytes { get; } = int.Parse(System.IO.Path.GetFileNameWithoutExtension(path)[21..], CultureInfo.InvariantCulture);

    public bool IsClosed => File.Exists(Path + ".sum");

    /// <summary>Walks every whole slot. A slot that is no sub-buffer, or does not lie in time order, fails the test.</summary>
    public long CountEvents() => CountEvents(Read());

    private long CountEvents(byte[] bytes)
    {
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
        byte[] bytes = Read();
        (string, long, long) said = (sum["sha256"]!.GetValue<string>(), sum["slots"]!.GetValue<long>(), sum["events"]!.GetValue<long>());
        (string, long, long) found = (Convert.ToHexStringLower(SHA256.HashData(bytes)), bytes.Length / SubBufferBytes, CountEvents(bytes));
        if (said != found)
        {
            throw new InvalidDataException($"{Path}.sum says {said}, the file has {found}");
        }
    }

    private static byte[] Unpack(string file)
    {
        using Process process = Start(file);
        Task<string> error = process.StandardError.ReadToEndAsync();
        using MemoryStream content = new();
        process.StandardOutput.BaseStream.CopyTo(content);
        process.WaitForExit();
        return process.ExitCode == 0 ? content.ToArray() : throw new InvalidDataException($"zstd -dc {file} ended with {process.ExitCode}: {error.Result}");
    }

    private static Process Start(string file)
    {
        try
        {
            return Process.Start(new ProcessStartInfo("zstd", ["-dcq", file]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        }
        catch (Win32Exception e)
        {
            throw new InvalidOperationException($"zstd cannot be run ({e.Message}): packaging/install-build-tools.sh installs it.", e);
        }
    }
}
