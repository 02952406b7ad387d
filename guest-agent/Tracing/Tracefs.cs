using System.Text;
using VsockPair.Linux;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>A folder of tracefs: the top level or an instance. Writes answer the kernel's error number, because refusal is how features are found out.</summary>
internal sealed unsafe class Tracefs(string folder)
{
    public string Folder { get; } = folder;

    /// <summary>The mounted tracefs, or null.</summary>
    public static Tracefs? Find(GuestPaths paths)
    {
        string? folder = Array.Find(paths.Tracefs, f => File.Exists($"{f}/trace_clock"));
        return folder is null ? null : new Tracefs(folder);
    }

    public Tracefs Instance(string name) => new($"{Folder}/instances/{name}");

    /// <summary>Makes this instance.</summary>
    /// <returns>0, or a negative error number.</returns>
    public int TryMake() => Sys.MakeDirectory(Folder, 0x1C0);

    public string Path(string file) => $"{Folder}/{file}";

    public bool Has(string file) => File.Exists(Path(file));

    public string Read(string file) => SmallFile.ReadText(Path(file));

    /// <summary>What the file held before is gone first, where that means something (lists of pids and functions).</summary>
    /// <returns>0, or a negative error number.</returns>
    public int TryWrite(string file, string text)
    {
        int fd = Sys.Open(Path(file), Constants.O_WRONLY | Constants.O_TRUNC);
        if (fd < 0)
        {
            return fd;
        }
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        int result = 0;
        fixed (byte* p = bytes)
        {
            // Lists are taken one word at a time (ftrace_regex_write).
            for (int written = 0; written < bytes.Length && (result = Sys.Write(fd, p + written, bytes.Length - written)) > 0; written += result)
            {
            }
        }
        Sys.Close(fd);
        return Math.Min(result, 0);
    }

    public void Write(string file, string text) => LinuxException.Check(TryWrite(file, text), $"write \"{text}\"", Path(file));

    /// <summary>Files that offer a choice put brackets around the current one: <c>local [boot] tai</c>.</summary>
    public string ReadChosen(string file)
    {
        string text = Read(file);
        int open = text.IndexOf('[', StringComparison.Ordinal);
        int close = text.IndexOf(']', StringComparison.Ordinal);
        return open >= 0 && close > open ? text[(open + 1)..close] : "";
    }
}
