using System.Text;
using VsockPair.Linux;

namespace VsockPair.GuestAgent;

/// <summary>
/// One line per event on stderr. Under systemd each line begins with its priority (sd-daemon(3)), so that the journal can sort them.
/// Written straight to the descriptor: the console classes would cost the agent a third of its size.
/// </summary>
internal static unsafe class AgentLog
{
    private const int StandardError = 2;

    private static readonly bool ForJournal =
        Environment.GetEnvironmentVariable("JOURNAL_STREAM") is not null || Environment.GetEnvironmentVariable("NOTIFY_SOCKET") is not null;

    public static void Info(string text) => Write("<6>", text);

    public static void Warning(string text) => Write("<4>", text);

    public static void Error(string text) => Write("<3>", text);

    private static void Write(string priority, string text)
    {
        byte[] line = Encoding.UTF8.GetBytes($"{(ForJournal ? priority : "")}vsockpair-agent: {text}\n");
        fixed (byte* p = line)
        {
            // Where stderr is closed there is nobody left to tell.
            _ = Sys.Write(StandardError, p, line.Length);
        }
    }
}
