namespace VsockPair.Text;

/// <summary>The only escape sequences that are ever written to a terminal. Guest text never becomes one (<see cref="TerminalText"/>).</summary>
internal static class TerminalColours
{
    public const string Time = "\u001b[32m";
    public const string Reset = "\u001b[0m";

    private const string Alert = "\u001b[7;31m";
    private const string Critical = "\u001b[1;31m";
    private const string Error = "\u001b[31m";
    private const string Warning = "\u001b[33m";

    /// <summary>Whether a person wants them: standard output is a terminal that has colours, and NO_COLOR (no-color.org) is not set.</summary>
    public static bool AreWanted(bool isRedirected, Func<string, string?> environment) =>
        !isRedirected && string.IsNullOrEmpty(environment("NO_COLOR")) && environment("TERM") is not (null or "" or "dumb");

    /// <param name="level">Of the kernel log, 0 to 7.</param>
    /// <returns>Null for a level that has none.</returns>
    public static string? OfLevel(int level) => level switch
    {
        0 or 1 => Alert,
        2 => Critical,
        3 => Error,
        4 => Warning,
        _ => null,
    };
}
