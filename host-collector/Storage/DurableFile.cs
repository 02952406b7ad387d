using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using VsockPair.Linux;

namespace VsockPair.Storage;

/// <summary>Files that are there whole or not at all: a temporary name, then rename(2).</summary>
internal static class DurableFile
{
    public const string TemporarySuffix = ".tmp";

    /// <summary>Replaces a JSON file. Survives the death of this process; a power loss may bring back the older content.</summary>
    public static void Replace<T>(string path, T value, JsonTypeInfo<T> type) => Write(path, JsonSerializer.SerializeToUtf8Bytes(value, type), synced: false);

    /// <summary>Replaces a file of JSON lines. Survives power loss.</summary>
    public static void ReplaceLines<T>(string path, IEnumerable<T> lines, JsonTypeInfo<T> type) =>
        Write(path, [.. lines.SelectMany(line => (byte[])[.. JsonSerializer.SerializeToUtf8Bytes(line, type), (byte)'\n'])], synced: true);

    /// <summary>Also survives power loss.</summary>
    public static void ReplaceSynced<T>(string path, T value, JsonTypeInfo<T> type) => Write(path, JsonSerializer.SerializeToUtf8Bytes(value, type), synced: true);

    /// <returns>Null when there is no such file or it is no such JSON.</returns>
    public static T? TryRead<T>(string path, JsonTypeInfo<T> type) where T : class
    {
        try
        {
            return File.Exists(path) ? JsonSerializer.Deserialize(File.ReadAllBytes(path), type) : null;
        }
        catch (JsonException)
        {
            // Damaged by a power loss: the caller makes a new one.
            return null;
        }
    }

    public static void SyncFolder(string folder)
    {
        using Fd fd = Fd.Own(Sys.Open(folder, Constants.O_RDONLY), "open", folder);
        LinuxException.Check(Sys.Fsync(fd.Value), "fsync", folder);
    }

    /// <summary>Any content, as <see cref="ReplaceSynced{T}"/>.</summary>
    public static void ReplaceSynced(string path, byte[] content) => Write(path, content, synced: true);

    private static void Write(string path, byte[] content, bool synced)
    {
        string temporary = path + TemporarySuffix;
        using (FileStream file = new(temporary, FileMode.Create, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0))
        {
            file.Write(content);
            if (synced)
            {
                file.Flush(flushToDisk: true);
            }
        }
        File.Move(temporary, path, overwrite: true);
        if (synced)
        {
            SyncFolder(Path.GetDirectoryName(path)!);
        }
    }
}
