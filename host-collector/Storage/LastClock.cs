using System.Text.Json;

namespace VsockPair.Storage;

/// <summary>Where a guest's clock was when a collector that was killed last heard of it: <c>boot.json</c> has that only of sessions that have ended.</summary>
internal static class LastClock
{
    /// <summary>Some lines, of which a kill may have torn the last.</summary>
    private const int TailBytes = 4096;

    /// <returns>The guest's trace clock of the last whole line, or 0.</returns>
    public static long Read(string path)
    {
        if (!File.Exists(path))
        {
            return 0;
        }
        byte[] tail = new byte[TailBytes];
        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        int bytes = RandomAccess.Read(file.SafeFileHandle, tail, Math.Max(0, file.Length - TailBytes));
        int end = tail.AsSpan(0, bytes).LastIndexOf((byte)'\n');
        if (end < 0)
        {
            return 0;
        }
        int start = tail.AsSpan(0, end).LastIndexOf((byte)'\n') + 1;
        try
        {
            return JsonSerializer.Deserialize(tail.AsSpan(start, end - start), StoreJson.Default.ClockSample)?.GuestBoot ?? 0;
        }
        catch (JsonException)
        {
            // Damaged by a power loss, or the file's only line and longer than any we write.
            return 0;
        }
    }
}
