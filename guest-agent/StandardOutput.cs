using System.Text;
using VsockPair.Linux;

namespace VsockPair.GuestAgent;

/// <summary>Answers to --help and --version, without the console classes (see <see cref="AgentLog"/>).</summary>
internal static unsafe class StandardOutput
{
    private const int Descriptor = 1;

    public static void WriteLine(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text + "\n");
        fixed (byte* p = bytes)
        {
            LinuxException.Check(Sys.Write(Descriptor, p, bytes.Length), "write", "standard output");
        }
    }
}
