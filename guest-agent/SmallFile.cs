using System.Text;
using VsockPair.Linux;

namespace VsockPair.GuestAgent;

/// <summary>
/// Whole small files of proc, sysfs and tracefs, whose size is not known before they are read. The library's own readers would bring text decoders
/// and time zones into the program: a tenth of its size.
/// </summary>
internal static unsafe class SmallFile
{
    private const int FirstBytes = 4096;

    /// <exception cref="LinuxException">It is not there, or cannot be read.</exception>
    public static byte[] ReadBytes(string path)
    {
        using Fd file = Fd.Own(Sys.Open(path, Constants.O_RDONLY), "open", path);
        byte[] buffer = new byte[FirstBytes];
        int length = 0;
        while (true)
        {
            int n;
            fixed (byte* p = buffer)
            {
                n = LinuxException.Check(Sys.Read(file.Value, p + length, buffer.Length - length), "read", path);
            }
            if (n == 0)
            {
                return buffer[..length];
            }
            length += n;
            if (length == buffer.Length)
            {
                Array.Resize(ref buffer, 2 * length);
            }
        }
    }

    /// <summary>Without the last line's end.</summary>
    /// <exception cref="LinuxException">It is not there, or cannot be read.</exception>
    public static string ReadText(string path) => Encoding.UTF8.GetString(ReadBytes(path)).TrimEnd('\n');
}
