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
