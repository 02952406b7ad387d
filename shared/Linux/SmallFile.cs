using System.Text;

namespace VsockPair.Linux;

/// <summary>
/// Whole small files; those of proc, sysfs and tracefs do not tell their size before they are read. The library's own readers would bring text decoders
/// and names of enumerations into the agent: a tenth of its size.
/// </summary>
public static unsafe class SmallFile
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
                // A range of an array would go through Array.CreateInstance and bring the type loader and reflection into the agent: a tenth of its size.
                return buffer.AsSpan(0, length).ToArray();
            }
            length += n;
            if (length == buffer.Length)
            {
                Array.Resize(ref buffer, 2 * length);
            }
        }
    }

    /// <exception cref="LinuxException">It cannot be written.</exception>
    public static void Write(string path, string text)
    {
        using Fd file = Fd.Own(Sys.Open(path, Constants.O_WRONLY | Constants.O_CREAT | Constants.O_TRUNC, 0x1A4), "open", path);
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        fixed (byte* p = bytes)
        {
            LinuxException.Check(Sys.Write(file.Value, p, bytes.Length), "write", path);
        }
    }

    /// <summary>Without the last line's end.</summary>
    /// <exception cref="LinuxException">It is not there, or cannot be read.</exception>
    public static string ReadText(string path) => Encoding.UTF8.GetString(ReadBytes(path)).TrimEnd('\n');
}
