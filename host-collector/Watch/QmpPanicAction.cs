using System.Text;
using System.Text.Json;

namespace VsockPair.Watch;

/// <summary>
/// What QEMU does when its guest panics. It has to pause: with any other action the memory is gone before anybody can read it. QEMU takes an action by
/// <c>set-action</c> but has no command that tells the present one, so the former one is what its command line says, and without that QEMU's own default.
/// </summary>
internal static class QmpPanicAction
{
    public const string Pause = "pause";

    /// <summary><c>PANIC_ACTION_SHUTDOWN</c> of QEMU's <c>runstate-action.c</c>.</summary>
    private const string Default = "shutdown";

    private static readonly string[] Known = ["none", Pause, Default, "exit-failure"];

    /// <summary>The action to restore, whatever an earlier <c>watch</c> that was killed has left.</summary>
    public static string Former(int process)
    {
        try
        {
            return process > 0 ? OfCommandLine(Encoding.UTF8.GetString(File.ReadAllBytes($"/proc/{process}/cmdline")).Split('\0')) : Default;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It has ended, or /proc does not show it (hidepid).
            return Default;
        }
    }

    /// <summary>The last <c>-action panic=…</c> counts, as for QEMU; <c>--action</c> is the same option.</summary>
    internal static string OfCommandLine(IReadOnlyList<string> arguments)
    {
        string action = Default;
        for (int i = 0; i + 1 < arguments.Count; i++)
        {
            if (arguments[i] is "-action" or "--action")
            {
                foreach (string part in arguments[i + 1].Split(',').Where(p => p.StartsWith("panic=", StringComparison.Ordinal)))
                {
                    action = Array.Find(Known, k => part["panic=".Length..] == k) ?? action;
                }
            }
        }
        return action;
    }

    public static Task SetAsync(QmpClient client, string action, CancellationToken stop) =>
        client.ExecuteAsync(QmpCommand.SetAction, (Utf8JsonWriter json) => json.WriteString("panic"u8, action), stop);
}
