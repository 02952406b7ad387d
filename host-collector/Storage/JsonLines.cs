using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using VsockPair.Text;

namespace VsockPair.Storage;

/// <summary>Reads the store's JSON, which a crash may have cut short and a service may be writing.</summary>
internal static class JsonLines
{
    /// <summary>One record per line. A last line without its end is being written, or never was: left out. Others that cannot be read, damaged by a power loss or of a newer version, are remarked upon.</summary>
    public static IEnumerable<T> Read<T>(string path, JsonTypeInfo<T> type, TextWriter? remarks = null)
        where T : class
    {
        if (!File.Exists(path))
        {
            yield break;
        }
        int unreadable = 0;
        using (StreamReader lines = new(Open(path), Encoding.UTF8, false, 1 << 16))
        {
            string? line = lines.ReadLine();
            while (line is not null)
            {
                string? next = lines.ReadLine();
                T? record = TryParse(line, type);
                if (record is not null)
                {
                    yield return record;
                }
                else
                {
                    unreadable += next is null ? 0 : 1;
                }
                line = next;
            }
        }
        if (unreadable > 0)
        {
            remarks?.WriteLine($"{TerminalText.Escape(path)}: {unreadable} lines cannot be read and are left out");
        }
    }

    /// <summary>What was appended since the last call, at most 1 MiB of it; a line without its end comes with the next call. Lines that cannot be read are left out.</summary>
    /// <param name="offset">Where to go on, 0 at first; a file that became shorter was torn and repaired.</param>
    public static IReadOnlyList<T> ReadOn<T>(string path, JsonTypeInfo<T> type, ref long offset)
        where T : class
    {
        if (!File.Exists(path))
        {
            return [];
        }
        using FileStream file = Open(path);
        offset = Math.Min(offset, file.Length);
        byte[] chunk = new byte[(int)Math.Min(file.Length - offset, 1 << 20)];
        file.Position = offset;
        int length = file.ReadAtLeast(chunk, chunk.Length, throwOnEndOfStream: false);
        int end = chunk.AsSpan(0, length).LastIndexOf((byte)'\n') + 1;
        // None of the store's lines is as long as the chunk: what is has no line feed that belongs to it.
        offset += end == 0 && length == 1 << 20 ? length : end;
        return [.. Encoding.UTF8.GetString(chunk, 0, end).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => TryParse(l, type)).OfType<T>()];
    }

    /// <summary>Readers are in nobody's way: the writer may append, rename and remove.</summary>
    public static FileStream Open(string path) => new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 1);

    private static T? TryParse<T>(string json, JsonTypeInfo<T> type)
        where T : class
    {
        try
        {
            return JsonSerializer.Deserialize(json, type);
        }
        catch (JsonException)
        {
            // The caller tells it: null is "cannot be read".
            return null;
        }
    }
}
