using System.Globalization;
using System.Text;
using VsockPair.Decoding;

namespace VsockPair.Storage;

/// <summary>
/// <c>saved_cmdlines</c> of one boot over time: the kernel has room for the names of 128 threads unless told otherwise, so that of each version that a guest sends only the newest
/// threads are named, while the trace goes back for hours. What is stored has the newest version, and behind it the threads that it does not name any more.
/// </summary>
internal static class SavedThreadNames
{
    public const string Name = "saved_cmdlines";

    /// <summary>Some 50000 threads. The ones that were named longest ago go first.</summary>
    public const int MaxBytes = 1 << 20;

    /// <returns>What is to be stored instead of <paramref name="newer"/>; null when there is nothing to add to it.</returns>
    public static byte[]? Merge(byte[] newer, byte[] older)
    {
        if (newer.Length > MaxBytes || older.Length > MaxBytes)
        {
            // No kernel's.
            return null;
        }
        CommandLines now = new(newer);
        using MemoryStream merged = new();
        merged.Write(newer);
        if (newer is not [.., (byte)'\n'])
        {
            merged.WriteByte((byte)'\n');
        }
        long least = merged.Length;
        foreach ((int pid, byte[] name) in new CommandLines(older).Names)
        {
            if (!now.Names.ContainsKey(pid))
            {
                byte[] number = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{pid} "));
                if (merged.Length + number.Length + name.Length + 1 > MaxBytes)
                {
                    break;
                }
                merged.Write(number);
                merged.Write(name);
                merged.WriteByte((byte)'\n');
            }
        }
        return merged.Length > least ? merged.ToArray() : null;
    }
}
