using System.Text;
using VsockPair.Linux;

namespace VsockPair.GuestAgent.Metadata;

/// <summary>
/// Which threads belong to one process (PROTOCOL.md §8), as <c>/proc</c> has it now. ftrace can keep this itself (<c>record-tgid</c>), at four bytes for each thread that there may
/// ever be: 16 MiB where systemd sets <c>pid_max</c>, which the kernel never gives back.
/// </summary>
internal static class ThreadGroups
{
    private const int MostProcesses = 8192;
    private const int MostChars = 512 << 10;

    /// <summary>Of the folder <c>task</c>: two of its own, and one for each thread. Most processes have one thread, and need not be read.</summary>
    private const int LinksOfOneThread = 3;

    public static byte[] Read(string proc)
    {
        StringBuilder text = new();
        int processes = 0;
        foreach (string folder in Directory.GetDirectories(proc))
        {
            string process = Path.GetFileName(folder);
            if (!char.IsAsciiDigit(process[0]))
            {
                continue;
            }
            string[] threads = ThreadsOf(folder);
            if (threads.Length > 1)
            {
                text.Append(process);
                foreach (string thread in threads)
                {
                    text.Append(' ').Append(Path.GetFileName(thread));
                }
                text.Append('\n');
            }
            if (++processes == MostProcesses || text.Length > MostChars)
            {
                break;
            }
        }
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    private static string[] ThreadsOf(string folder)
    {
        string tasks = $"{folder}/task";
        try
        {
            return Sys.LinkCount(tasks) == LinksOfOneThread ? [] : Directory.GetDirectories(tasks);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Processes end while one looks at them.
            return [];
        }
    }
}
